"""How a page stays up to date by itself: what is taken over, what stays, and what happens when the server dies."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect
from starlette.responses import HTMLResponse

from orchestra.api import app, streams
from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.headers import SECURITY_HEADERS
from orchestra.api.hub import Hub
from orchestra.api.server import Server
from orchestra.domain.hints import Changed, Topics
from orchestra.domain.identities import Identity, Via
from orchestra.domain.models.users import User
from orchestra.web import rendering, static_files
from support.browsing import window
from support.waiting import wait_until

TOKYO = ZoneInfo("Asia/Tokyo")
pytestmark = pytest.mark.needs("chromium")

ANA = Identity(
    User(1, "ana", "ana@example.org", is_admin=False, created_at=datetime(2026, 1, 1, tzinfo=UTC)),
    admin=False,
    via=Via.SESSION,
)
PAGE = """{% extends "base.html" %}
{% block title %}{{ name }}{% endblock %}
{% block main %}
<h1>Task 7</h1>
<section id="jobs" data-live="task:7">
  <p id="state">{{ ui.state(name) }}</p>
  <form>
    <label for="note">Note</label><input id="note" value="{{ name }}">
    <input id="other" aria-label="Other" value="{{ name }}">
  </form>
  <details id="more"><summary>More</summary><p>{{ name }}</p></details>
  <div id="list">{% for row in rows %}<p id="row-{{ row }}">{{ row }} {{ name }}</p>{% endfor %}</div>
  <p><a id="link" href="#{{ name }}">a link of {{ name }}</a></p>
  <div id="canvas" data-keep>{{ name }}</div>
</section>
<section id="elsewhere" data-live="task:8"><p>{{ name }}</p></section>
{% endblock %}"""


HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


class Site:
    """A server with one page about task 7, in a thread. What it shows and what changes is up to the test."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"name": "waiting", "rows": list(range(200))}
        self.changed: list[Changed] = []
        self.served = 0
        self.port = 0
        self.start()

    def start(self) -> None:
        """Serve, at the same port as before."""
        nothing = cast("Any", None)
        self.server = Server(nothing, nothing, nothing, nothing, Hub(lambda: self))
        ends = (
            Endpoint("GET", "/tasks/7", self._page),
            *static_files.ENDPOINTS,
            *streams.ENDPOINTS,
        )
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            app.make_app(self.server, ends), log_level="warning", lifespan="off", ws="none"
        )
        self.process = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.process.run, args=([listening],))
        self.thread.start()
        wait_until(lambda: self.process.started)

    def stop(self) -> None:
        """Die, with all streams."""
        self.server.hub.close()
        self.process.force_exit = self.process.should_exit = True
        self.thread.join()

    def change(self, task: int = 7, **values: Any) -> None:
        """Show something else, and tell readers so."""
        self.values |= values
        self.changed.append(Changed(jobs=frozenset({task})))

    def _page(self, call: Call) -> HTMLResponse:
        self.served += 1
        template = rendering.environment().from_string(PAGE)
        html = template.render(
            root="", now=datetime.now(UTC), identity=call.who, note=None, **self.values
        )
        return HTMLResponse(html, headers=SECURITY_HEADERS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/tasks/7"

    def look(self, _topics: Topics) -> Changed:
        return self.changed.pop(0) if self.changed else Changed()

    def close(self) -> None:
        """There is no connection."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(app, "identify", lambda *_: ANA)
    found = Site()
    yield found
    found.stop()


def test_a_page_takes_over_what_changed_and_keeps_what_people_did(site: Site, page: Page) -> None:
    page.goto(site.url)
    status = page.locator("#live")
    expect(status).to_have_text("live")
    page.locator("#note").fill("typed")
    page.locator("#more summary").click()
    page.evaluate(
        "() => { const list = document.getElementById('list'); list.scrollTop = 50; window.same = list; }"
    )
    page.locator("#link").focus()

    site.change(name="running", rows=list(range(5, 205)))
    expect(page.locator("#state")).to_have_text("running")
    expect(page).to_have_title("running · Orchestra")
    assert page.locator("#note").input_value() == "typed"
    assert page.locator("#other").input_value() == "running", "what nobody touched is new"
    expect(page.locator("#more p")).to_have_text("running")
    assert page.locator("#more").get_attribute("open") is not None
    assert page.evaluate("() => document.activeElement.id") == "link"
    expect(page.locator("#link")).to_have_text("a link of running")
    expect(page.locator("#list p").first).to_have_text("5 running")
    assert page.evaluate("() => window.same.isConnected")
    expect(page.locator("#canvas")).to_have_text("waiting")
    expect(page.locator("#elsewhere")).to_have_text("waiting", timeout=1000)

    site.change(task=9, name="unseen")
    site.change(task=8)
    expect(page.locator("#elsewhere")).to_have_text("unseen")
    expect(page.locator("#state")).to_have_text("running")


def test_a_page_heals_after_the_death_of_its_server(site: Site, page: Page) -> None:
    page.goto(site.url)
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("() => { window.same = true; }")
    site.stop()
    expect(page.locator("#live")).to_contain_text("reconnecting")
    expect(page.locator("#live")).to_contain_text(" s old")
    site.values["name"] = "done"
    site.start()
    expect(page.locator("#live")).to_have_text("live", timeout=30_000)
    expect(page.locator("#state")).to_have_text("done")
    assert page.evaluate("() => window.same"), "without a reload"


def test_many_changes_are_few_fetches_and_a_hidden_page_asks_for_nothing(
    site: Site, page: Page
) -> None:
    page.goto(site.url)
    expect(page.locator("#live")).to_have_text("live")
    before = site.served
    for number in range(6):
        site.change(name=f"n{number}")
    expect(page.locator("#state")).to_have_text("n5")
    assert site.served <= before + 5
    page.evaluate(HIDE, True)
    wait_until(lambda: not site.server.hub.topics().tasks)
    site.change(name="seen later")
    wait_until(lambda: not site.changed)
    page.evaluate(HIDE, False)
    expect(page.locator("#state")).to_have_text("seen later")


def test_times_are_of_the_reader_and_keep_their_age(site: Site, browser: Browser) -> None:
    with window(browser, timezone_id="Asia/Tokyo") as context:
        page = context.new_page()
        page.goto(site.url)
        shown, title = page.locator("#as-of time").evaluate(
            "(time) => [time.textContent, time.title]"
        )
        at = datetime.strptime(title, "%Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC)
        assert shown == f"{at.astimezone(TOKYO):%Y-%m-%d %H:%M:%S}"
