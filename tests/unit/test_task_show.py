"""The history in `task show`."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestra.domain.models.events import Event
from orchestra.domain.task_text import without_repeats


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
