"""The log of a job in a browser: all of it is there, coloured, found, copied and followed; nothing in it is code."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect
from starlette.responses import HTMLResponse, Response

from orchestra.api import app, logs
from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.identities import Identity, Via
from orchestra.domain.models.logs import PART, LogSource, first_byte
from orchestra.domain.models.users import User
from orchestra.interface.answers.jobs import LogPart
from orchestra.interface.logs import ReadLogPart
from orchestra.web import rendering, static_files
from orchestra.web.pages.job import Log
from support.browsing import check_looks, window
from support.waiting import wait_until

pytestmark = pytest.mark.needs("chromium")

ANA = Identity(
    User(1, "ana", "ana@example.org", is_admin=False, created_at=datetime(2026, 1, 1, tzinfo=UTC)),
    admin=False,
    via=Via.SESSION,
)
PAGE = """{% extends "base.html" %}
{% block title %}A log{% endblock %}
{% block head %}
  <link rel="stylesheet" href="{{ static('log.css') }}">
  <script type="module" src="{{ static('log.js') }}"></script>
{% endblock %}
{% block main %}<h1>A job</h1>{% include "log.html" %}{% endblock %}"""
COLOURS = (
    b"<script>document.title = 'no'</script> & &amp;\n"
    b"\x1b[1;31mred\x1b[0m plain \x1b[38;5;208morange\x1b[39m \x1b[48;2;0;80;0m\x1b[97mon green\x1b[m\n"
    b"\x1b]0;title\x07 10 %\r 50 %\r\x1b[2K100 %\r\n"
    b"\xff\xfe not text\x08\x00\n"
)


class Site:
    """A server of one log, in a thread. What can be read of it, and whether it grows, is up to the test."""

    def __init__(self) -> None:
        self.log, self.over, self.kept_from, self.at_end = b"", True, 0, False
        self.asked = 0
        ends = (
            Endpoint("GET", "/", self._page),
            *logs.ENDPOINTS,
            *static_files.ENDPOINTS,
        )
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server = cast("Any", self)
        config = uvicorn.Config(
            app.make_app(server, ends), log_level="warning", lifespan="off", ws="none"
        )
        self.process = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.process.run, args=([listening],))
        self.thread.start()
        wait_until(lambda: self.process.started)

    root_path, hosts, state = "", frozenset[str](), dict[str, Any]()

    def ask(self, _: Identity, asked: ReadLogPart) -> LogPart:
        self.asked += 1
        log, kept = self.log, self.kept_from
        start = max(first_byte(asked.offset, len(log)), kept)
        source = LogSource.TAIL if kept else LogSource.FILE
        data = log[start : start + PART]
        return LogPart(start, data, len(log), self.over, source, kept_from=kept)

    def _page(self, call: Call) -> Response:
        template = rendering.environment().from_string(PAGE)
        source = f"/api/v1{logs.PATH.format(task=7, index=3, attempt=1)}"
        html = template.render(
            root="",
            now=datetime.now(UTC),
            identity=call.who,
            note=None,
            attempt={"number": 1},
            log=Log(source, "the last lines", whole=False, at_end=self.at_end),
        )
        return HTMLResponse(html, headers=rendering.HEADERS)

    def stop(self) -> None:
        self.process.force_exit = self.process.should_exit = True
        self.thread.join()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(app, "identify", lambda *_: ANA)
    found = Site()
    yield found
    found.stop()


def lines(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('.chunk > div')].map((line) => line.textContent)"
    )
    return found


def at_end(page: Page) -> bool:
    return bool(
        page.evaluate(
            "() => { const v = document.querySelector('.log-view');"
            " return v.scrollHeight - v.clientHeight - v.scrollTop < 2; }"
        )
    )


def test_a_log_is_text_in_colours(site: Site, page: Page, browser: Browser) -> None:
    site.log = COLOURS + b"".join(b"line %d\n" % n for n in range(2000)) + b"no newline"
    page.goto(f"{site.url}#L120")
    state = page.locator("[data-part=state]")
    expect(state).to_have_text("complete")
    shown = lines(page)
    assert shown[:4] == [
        "<script>document.title = 'no'</script> & &amp;",
        "red plain orange on green",
        "100 %",
        "\ufffd\ufffd not text",
    ]
    assert (len(shown), shown[-1]) == (2005, "no newline")
    expect(page).to_have_title("A log · Orchestra")
    assert page.locator(".chunk span").evaluate_all(
        "(runs) => runs.map((run) => [run.textContent, run.className])"
    ) == [["red", "b f1"], ["orange", "ink"], ["on green", "f15 ground"]]

    # A line has an address, and its number in its margin.
    expect(page.locator(".target")).to_have_text("line 115")
    expect(page.locator(".target")).to_be_in_viewport()
    page.locator("[data-part=line]").fill("1800")
    page.locator("[data-part=line]").press("Enter")
    expect(page.locator(".target")).to_have_text("line 1795")
    assert page.url.endswith("#L1800")

    # Only matching lines, with their numbers.
    page.locator("[data-part=find]").fill("LINE 19")
    page.locator("[data-part=only]").check()
    expect(page.locator("[data-part=hits]")).to_have_text("111 lines match")
    expect(page.locator(".chunk > div:visible")).to_have_count(111)
    hit = page.locator(".chunk > div:visible").nth(1)
    assert hit.text_content() == "line 190"
    assert hit.get_attribute("data-n") == "195"
    page.locator("[data-part=find]").fill("")
    expect(page.locator("[data-part=hits]")).to_have_text("")
    page.emulate_media(reduced_motion="reduce")
    check_looks(page)
    with window(browser, java_script_enabled=False) as context:
        plain = context.new_page()
        plain.goto(site.url)
        expect(plain.locator(".log-view")).to_have_text("the last lines")
        assert plain.locator("text=download").get_attribute("href")


def test_a_log_of_10_mb_opens_at_its_end_and_is_found_and_copied_as_a_whole(
    site: Site, page: Page
) -> None:
    text = [f"\x1b[32mINFO\x1b[0m step {n} {'of a long training ' * 4}" for n in range(104_000)]
    text[17] = "a needle"
    site.log = "".join(f"{line}\n" for line in text).encode()
    assert len(site.log) > 10_000_000
    site.at_end = True
    page.goto(site.url)
    expect(page.locator(".log-lines").last).to_contain_text("step 103999")
    expect(page.locator("[data-part=state]")).to_have_text("complete")
    assert page.locator("[data-part=count]").text_content() == "104,000 lines"
    assert at_end(page)
    assert page.evaluate("() => find('a needle') && String(getSelection())") == "a needle"
    # What the browser's search does next, and a script's does not. It is no reason to return to the end.
    page.evaluate("() => getSelection().anchorNode.parentElement.scrollIntoView()")
    expect(page.get_by_text("a needle")).to_be_in_viewport()
    wait_until(lambda: not at_end(page))
    page.evaluate(
        "() => Object.defineProperty(navigator, 'clipboard', "
        "{ value: { writeText: async (text) => { window.copied = text; } } })"
    )
    page.locator("[data-part=copy]").click()
    expect(page.locator("[data-part=copy]")).to_have_text("Copied")
    length, end = page.evaluate("() => [window.copied.length, window.copied.slice(-30)]")
    assert length == len(site.log) - 9 * (104_000 - 1)
    assert end.endswith("of a long training \n")


def test_a_growing_log_is_followed_until_the_reader_goes_up(site: Site, page: Page) -> None:
    site.at_end, site.over = True, False
    site.log = b"".join(b"line %d\n" % n for n in range(200)) + b"10 %"
    page.goto(site.url)
    last = page.locator(".chunk > div").last
    expect(last).to_have_text("10 %")
    assert at_end(page)
    site.log += b"\r20 %\nmore\n"
    expect(last).to_have_text("more")
    assert lines(page)[-2] == "20 %"
    assert at_end(page)

    page.locator(".log-view").focus()
    page.keyboard.press("PageUp")
    wait_until(lambda: not at_end(page))
    site.log += b"and\nmore\n"
    resume = page.locator("[data-part=resume]")
    expect(resume).to_have_text("2 new lines")
    assert not at_end(page)
    resume.press("Enter")
    expect(resume).to_be_hidden()
    wait_until(lambda: at_end(page))

    # Another file is there now, and then its end alone can be read.
    site.log = b"another\n"
    expect(last).to_have_text("another")
    assert lines(page) == ["another"]
    site.log, site.kept_from, site.over = b"x" * 5000 + b"\nend\n", 4995, True
    expect(page.locator("[data-part=state]")).to_have_text("complete")
    assert lines(page) == ["another", "", "[orchestra: 5 kB left out here]", "", "xxxxx", "end"]
    expect(page.locator("#announce")).to_have_text("The log is complete: 6 lines.")

    # From the beginning, that is all there is.
    page.reload()
    kept = page.locator("[data-part=kept]")
    expect(kept).to_have_text(
        "Only the last 1 kB of 6 kB can be read. Lines are counted from there."
    )
    assert lines(page) == ["xxxxx", "end"]
