"""The history in `task show`, and where the program came from."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestra.domain.models.events import Event
from orchestra.domain.models.tasks import Origin
from orchestra.domain.task_text import commit_in_words, origin_in_words, without_repeats


def _event(number: int, before: str, after: str, why: str, who: str = "orchestra") -> Event:
    at = datetime(2026, 11, 22, 12, 0, number, tzinfo=UTC)
    return Event(number, at, "task", 0, None, None, before, after, who, why, None)


def test_repeated_events_are_shown_once() -> None:
    events = [
        _event(0, "TESTING", "TESTING", "1 of 10 test jobs failed"),
        _event(1, "TESTING", "TESTING", "1 of 10 test jobs failed"),
        _event(2, "TESTING", "TESTING", "2 of 10 test jobs failed"),
        _event(3, "TESTING", "TESTING", "2 of 10 test jobs failed", who="ana"),
        _event(4, "TESTING", "BROKEN", "2 of 10 test jobs failed"),
        _event(5, "TESTING", "TESTING", "2 of 10 test jobs failed"),
    ]
    assert [event.id for event in without_repeats(events)] == [0, 2, 3, 4, 5]


def test_an_origin_says_what_is_known() -> None:
    commit = "1a2b3c4d5e6f" + "0" * 28
    origin = Origin("/home/ana/fit.py", "ab" * 32, "/venv/bin/python3", commit, dirty=True)
    assert dict(origin_in_words(origin)) == {
        "script": "/home/ana/fit.py (SHA-256 abababababab)",
        "python": "/venv/bin/python3",
        "commit": "1a2b3c4d5e6f, with changes that are not committed",
    }
    assert commit_in_words(Origin(commit=commit)) == "1a2b3c4d5e6f"
    assert dict(origin_in_words(Origin(script="/a.sh"))) == {"script": "/a.sh"}
    assert list(origin_in_words(None)) == []
