"""The frame of all pages: words, parts, colours, static files, errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from starlette.requests import Request

from orchestra.domain.errors import DatabaseUnavailable, NotFound, OrchestraError, Refused
from orchestra.domain.models.users import User
from orchestra.domain.states import JobState, TaskState
from orchestra.domain.wording import Action, Field, Setting, words
from orchestra.reports.style import contrast
from orchestra.web import page_words, static_files
from orchestra.web.errors import error_page
from orchestra.web.rendering import environment, go, render

NOW = datetime(2026, 11, 26, 10, 2, 11, tzinfo=UTC)


@dataclass(frozen=True)
class SignedIn:
    user: User
    admin: bool


ANA = SignedIn(User(1, "<ana>", "ana@example.org", is_admin=True, created_at=NOW), admin=True)


def request(*, root: str = "", cookie: str = "") -> Request:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": f"{root}/",
            "root_path": root,
            "headers": headers,
        }
    )


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


def test_every_template_is_parsed() -> None:
    for name in environment().list_templates():
        environment().get_template(name)


# Pages


def test_a_page_under_a_prefix_and_for_nobody() -> None:
    missing = NotFound("there is no task <7>.", hint=words(Action.LIST_TASKS, " shows all."))
    answer = error_page(request(root="/lab"), ANA, 404, missing)
    html = bytes(answer.body).decode()
    assert answer.status_code == 404
    assert "there is no task &lt;7&gt;." in html
    assert '<a href="/lab/tasks">the list of tasks</a> shows all.' in html
    assert "&lt;ana&gt;" in html
    own = [each for each in re.findall(r'(?:href|src|action)="([^"#]+)"', html) if each]
    assert own
    assert all(each.startswith("/lab/") for each in own)
    assert "<style" not in html
    assert not re.search(r'<script(?![^>]* src=)|\s(style|on[a-z]+)="', html)
    nobody = bytes(error_page(request(), None, 404, missing).body).decode()
    assert "<nav" not in nobody
    assert "Sign out" not in nobody


@pytest.mark.parametrize(
    ("status", "error", "heading"),
    [
        (409, Refused(), "This is not possible now"),
        (503, DatabaseUnavailable(), "The database cannot be reached"),
        (599, OrchestraError(), "Something went wrong in the server"),
    ],
)
def test_each_error_has_a_heading(status: int, error: OrchestraError, heading: str) -> None:
    html = bytes(error_page(request(), ANA, status, error).body).decode()
    assert f"<h1>{heading}</h1>" in html
    assert ('id="retried"' in html) == (status == 503)


def test_a_note_is_shown_once_and_is_text() -> None:
    answer = go(request(root="/lab"), "/tasks/7", "task 7 is <held>; all é")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/lab/tasks/7"
    cookie = answer.headers["set-cookie"].split(";")[0]
    page = render(
        request(root="/lab", cookie=cookie),
        "error.html",
        heading="x",
        error=Refused(),
        retried=False,
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
