"""The frame of all pages: words, parts, colours, static files, errors."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any, cast

import pytest
from starlette.requests import Request

from orchestra.api.call import Call
from orchestra.api.endpoints import Match, Routes
from orchestra.api.server import Server
from orchestra.domain.errors import (
    DatabaseUnavailable,
    NotAllowed,
    NotFound,
    OrchestraError,
    Refused,
)
from orchestra.domain.identities import Identity, Via
from orchestra.domain.models.users import User
from orchestra.domain.states import JobState, TaskState
from orchestra.domain.wording import Action, Field, Setting, words
from orchestra.reports.style import contrast
from orchestra.web import page_words, static_files
from orchestra.web.errors import answer, error_page
from orchestra.web.rendering import environment, go, render
from orchestra.wiring.server import endpoints

NOW = datetime(2026, 11, 26, 10, 2, 11, tzinfo=UTC)


ANA = Identity(
    User(1, "<ana>", "ana@example.org", is_admin=True, created_at=NOW), admin=True, via=Via.SESSION
)


def request(*, cookie: str = "", accept: str = "text/html") -> Request:
    headers = [(b"accept", accept.encode()), (b"accept-encoding", b"gzip")]
    if cookie:
        headers.append((b"cookie", cookie.encode()))
    found = Request(
        {"type": "http", "method": "GET", "scheme": "http", "path": "/", "headers": headers}
    )
    found.state.who = ANA
    return found


def call(root: str = "", **params: str) -> Call:
    nothing = cast("Any", None)
    server = Server(nothing, nothing, nothing, nothing, nothing, root_path=root)
    return Call(server, request(), ANA, params)


def shown(source: str, *, root: str = "", **values: object) -> str:
    """What a template makes of the parts."""
    text = f'{{% import "parts.html" as ui with context %}}{source}'
    return environment().from_string(text).render(root=root, now=NOW, **values)


# Words


def test_every_action_is_worded() -> None:
    for action in Action:
        said = page_words.term(action(**dict.fromkeys(action.takes, "<7")), lambda path: path)
        assert "<7" not in said
        if action in page_words.PAGES:
            assert re.fullmatch(r'<a href="/[^"]*">[^<]+</a>', said)
        else:
            assert re.fullmatch(r"<code>maestro [^<]+</code>", said)


def test_every_link_leads_to_a_page() -> None:
    routes = Routes(endpoints())
    for action, (_, path) in page_words.PAGES.items():
        address = (
            path.format(**dict.fromkeys(action.takes, "7")).partition("#")[0].partition("?")[0]
        )
        assert isinstance(routes.find("GET", address), Match), address


def test_every_field_has_a_label_of_its_own() -> None:
    assert set(page_words.LABELS) == set(Field)
    assert len(set(page_words.LABELS.values())) == len(Field)


def test_a_sentence_links_to_the_page_that_does_it() -> None:
    said = words("Kill <it>, or ", Field.FORCE(True), ": ", Action.SET_NODE(name="a/b?"), ".")
    assert page_words.worded(said, lambda path: f"/lab{path}") == (
        'Kill &lt;it&gt;, or “end it first”: <a href="/lab/nodes/a%2Fb%3F">the page of node a/b?</a>.'
    )
    said = words(Field.QUEUE("gpu"), " ", Setting.POSTGRES)
    assert page_words.worded(said, str) == (
        "“queue” gpu <code>postgres</code> in the server’s configuration"
    )


# Parts


def test_a_moment_has_its_exact_time() -> None:
    assert shown("{{ ui.when(at) }}", at=NOW - timedelta(hours=3)) == (
        '<time datetime="2026-11-26T07:02:11Z" title="2026-11-26 07:02:11 UTC" data-ago>3 h ago</time>'
    )
    assert shown("{{ ui.when(none) }}") == '<span class="none">–</span>'


def test_a_bar_says_what_it_shows_and_even_one_job_of_a_million_is_seen() -> None:
    bar = shown(
        "{{ ui.bar(parts, 1000000, 'half & half') }}", parts=[("done", 999_999), ("failed", 1)]
    )
    assert 'aria-label="half &amp; half"' in bar
    assert '<rect class="part-failed" x="997.00" y="0" width="3.00"' in bar


def test_fields_name_their_hints_and_errors() -> None:
    field = shown("{{ ui.input('name', 'Name', '\"x', hint='As typed.', error='Taken.') }}")
    assert 'aria-describedby="name-hint name-error"' in field
    assert 'aria-invalid="true"' in field
    assert 'value="&#34;x"' in field


def test_an_address_leaves_out_what_is_empty() -> None:
    address = shown(
        "{{ url('/tasks', state=state, user=none, all=false, after='a&b') }}", state="", root="/lab"
    )
    assert unescape(address) == "/lab/tasks?after=a%26b"
    assert shown("{{ url('/tasks/new', from=0) }}") == "/tasks/new?from=0"


def test_every_template_is_parsed() -> None:
    for name in environment().list_templates():
        environment().get_template(name)


# Pages


def test_a_page_under_a_prefix_and_for_nobody() -> None:
    missing = NotFound("there is no task <7>.", hint=words(Action.LIST_TASKS, " shows all."))
    answer = error_page(request(), "/lab", missing)
    html = bytes(answer.body).decode()
    assert answer.status_code == 404
    assert "there is no task &lt;7&gt;." in html
    assert '<a href="/lab/tasks">the list of tasks</a> shows all.' in html
    assert "&lt;ana&gt;" in html
    own = [each for each in re.findall(r'(?:href|src|action)="([^"#]+)"', html) if each]
    assert own
    assert all(each.startswith("/lab/") for each in own)
    assert not re.search(r'<style|<script(?![^>]* src=)|\s(style|on[a-z]+)="', html)
    nobody = bytes(
        render(request(), "", "error.html", heading="x", error=missing, retried=False).body
    )
    assert b"<nav" not in nobody
    assert b"Sign out" not in nobody


@pytest.mark.parametrize(
    ("error", "status", "heading"),
    [
        (NotAllowed(), 403, "You may not do this"),
        (Refused(), 409, "This is not possible now"),
        (DatabaseUnavailable(), 503, "The database cannot be reached"),
        (OrchestraError(), 500, "Something went wrong in the server"),
    ],
)
def test_people_get_a_page_for_each_error_and_programs_a_problem(
    error: OrchestraError, status: int, heading: str
) -> None:
    page = answer(call().server, request(), error)
    html = bytes(page.body).decode()
    assert page.status_code == status
    assert f"<h1>{heading}</h1>" in html
    assert ('id="retried"' in html) == (status == 503)
    problem = answer(call().server, request(accept="*/*"), error)
    assert problem.status_code == status
    assert problem.media_type == "application/problem+json"
    assert page.headers.get("Retry-After") == problem.headers.get("Retry-After")


def test_a_note_is_shown_once_and_is_text() -> None:
    gone = go(call("/lab"), "/tasks/7", "task 7 is <held>; all é")
    assert gone.status_code == 303
    assert gone.headers["location"] == "/lab/tasks/7"
    cookie = gone.headers["set-cookie"].split(";")[0]
    page = render(
        request(cookie=cookie), "", "error.html", heading="x", error=Refused(), retried=False
    )
    assert "task 7 is &lt;held&gt;; all é" in bytes(page.body).decode()
    assert "Max-Age=0" in page.headers["set-cookie"]


# Looks and static files


def themes() -> list[dict[str, str]]:
    css = static_files.files()["orchestra.css"].content.decode()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)[:2]
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks)
    assert light.keys() == dark.keys()
    return [light, dark]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_contrasts(theme: int) -> None:
    colours = themes()[theme]
    for ink in ("ink", "soft", "link", "good", "bad", "busy", "care", "ended", "idle"):
        for ground in ("paper", "raised"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for ink, ground in [
        ("ink", "note"),
        ("ink", "wrong"),
        ("link", "wrong"),
        ("link", "note"),
        ("on-link", "link"),
        ("on-bad", "bad"),
    ]:
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["edge"], colours["paper"]) >= 3


def test_every_state_has_a_shape_and_no_file_is_of_elsewhere() -> None:
    css = static_files.files()["orchestra.css"].content.decode()
    for state in (*TaskState, *JobState):
        assert f".is-{state.lower()}::before" in css
    for name, file in static_files.files().items():
        if not name.startswith("vendor/"):
            allowed = file.content.replace(b"http://www.w3.org/2000/svg", b"")
            assert b"http" not in allowed, name


def test_static_files_are_light() -> None:
    sizes = {name: len(file.packed) for name, file in static_files.files().items()}
    assert sum(sizes.values()) < 60_000, sizes


def test_only_static_files_are_served_and_those_of_this_version_for_ever() -> None:
    current = static_files.serve(call(version=static_files.version(), name="orchestra.css"))
    assert "immutable" in current.headers["cache-control"]
    assert gzip.decompress(current.body) == static_files.files()["orchestra.css"].content
    older = static_files.serve(call(version="0" * 12, name="orchestra.css"))
    assert older.headers["cache-control"] == "no-cache"
    for name in ("", "../rendering.py", "vendor", "/etc/passwd", "orchestra.css/"):
        with pytest.raises(NotFound):
            static_files.serve(call(version=static_files.version(), name=name))
