"""Moments in the future as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestra.domain.errors import BadInput
from orchestra.domain.moments import parse_moment, shown

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 26, 15, 30, 20, tzinfo=BERLIN)  # a Thursday


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("18:00", "Thu 2026-11-26 18:00"),
        ("7:30", "Fri 2026-11-27 07:30"),
        ("15:30", "Fri 2026-11-27 15:30"),
        (" today 18:00", "Thu 2026-11-26 18:00"),
        ("Tomorrow 07:30", "Fri 2026-11-27 07:30"),
        ("Fri 18:00", "Fri 2026-11-27 18:00"),
        ("thursday  18:00", "Thu 2026-11-26 18:00"),
        ("Thu 15:00", "Thu 2026-12-03 15:00"),
        ("2026-12-01 18:00", "Tue 2026-12-01 18:00"),
        ("2026-12-01T18:00:30", "Tue 2026-12-01 18:00:30"),
        ("2026-12-01 18:00+00:00", "Tue 2026-12-01 19:00"),
        ("2026-12-01T18:00Z", "Tue 2026-12-01 19:00"),
    ],
)
def test_a_moment_is_the_next_such_one(typed: str, meant: str) -> None:
    moment = parse_moment(typed, NOW, BERLIN)
    assert shown(moment, BERLIN) == meant
    assert moment > NOW


@pytest.mark.parametrize("typed", ["today 15:30", "2026-11-26 15:30", "2025-12-01 18:00"])
def test_a_moment_that_has_passed_is_refused(typed: str) -> None:
    with pytest.raises(BadInput, match=r"^[A-Z][a-z][a-z] 202\d-\d\d-\d\d 1\d:\d0 has passed\.$"):
        parse_moment(typed, NOW, BERLIN)


@pytest.mark.parametrize(
    "typed",
    [
        *("", "Fri", "18", "24:00", "18:60", "Fry 18:00", "2026-12-01", "2026-13-01 18:00", "a\nb"),
        *("now", "next Fri 18:00", "18:00 Fri", "20261201 18:00", "2026-12-01 25:00"),
    ],
)
def test_what_is_no_moment_is_refused_with_examples(typed: str) -> None:
    with pytest.raises(BadInput, match="is not a day with a time") as error:
        parse_moment(typed, NOW, BERLIN)
    assert "Fri 18:00" in str(error.value.hint)
    assert "\n" not in str(error.value)


def test_without_a_zone_it_is_that_of_this_machine() -> None:
    now = datetime.now(UTC)
    moment = parse_moment((now + timedelta(days=40)).astimezone().strftime("%Y-%m-%d %H:%M"), now)
    assert moment.utcoffset() == moment.astimezone().utcoffset()
    assert timedelta(days=39) < moment - now <= timedelta(days=40)
