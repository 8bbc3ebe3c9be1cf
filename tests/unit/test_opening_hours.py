"""When a node may run jobs, by its own clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.errors import BadInput
from orchestra.domain.opening_hours import (
    DAYS,
    OpeningHours,
    Part,
    canonical,
    longest_window,
    parse,
)

BERLIN = ZoneInfo("Europe/Berlin")
ADELAIDE = ZoneInfo("Australia/Adelaide")  # half an hour beside the others; summer is in winter
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clock is changed by half an hour

PARTS = st.builds(
    Part,
    st.integers(0, 6),
    st.integers(0, 6),
    st.integers(0, 1439),
    st.integers(1, 1440),
).filter(lambda part: part.begin != part.end)
HOURS = st.lists(PARTS, min_size=1, max_size=3, unique=True).map(
    lambda parts: OpeningHours(tuple(parts))
)
ZONES = st.sampled_from([UTC, BERLIN, ADELAIDE, LORD_HOWE])
MOMENTS = st.integers(0, 730 * 86_400).map(
    lambda seconds: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
CHANGED_ON = ((3, 29), (10, 25), (4, 4), (10, 3))
CLOCK_CHANGES = st.builds(
    lambda day, seconds: day + timedelta(seconds=seconds),
    st.sampled_from([datetime(2026, month, day, tzinfo=UTC) for month, day in CHANGED_ON]),
    st.integers(0, 86_400),
)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("19:00-07:00,sat,sun", "19:00-07:00,sat,sun"),
        (" Mon-Fri  19:00-7 , Saturday", "mon-fri 19:00-07:00,sat"),
        ("fri-mon 8-9:30", "fri-mon 08:00-09:30"),
        ("19:00 - 07:00", "19:00-07:00"),
        ("mon - fri 19:00 -07:00", "mon-fri 19:00-07:00"),
        ("tue-mon 18-24", "18:00-24:00"),
        ("sat,sat", "sat"),
        ("sat 00:00-24:00", "sat"),
        ("always", None),
        ("ALWAYS", None),
        ("mon-sun", None),
        ("0-12,12-24", None),
    ],
)
def test_hours_are_stored_in_one_form(typed: str, stored: str | None) -> None:
    assert canonical(typed) == stored
    assert stored is None or canonical(stored) == stored


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        ("", "empty part"),
        ("sat,,sun", "empty part"),
        ("sat,", "empty part"),
        ("frday", '"frday" is neither days nor a range of times.'),
        ("sat,25:00-07:00", '"25:00-07:00" in "sat,25:00-07:00" is neither'),
        ("19:60-07:00", "neither"),
        ("24:00-07:00", "neither"),
        ("19:00", "neither"),
        ("19:00-07:00 sat", "neither"),
        ("mo-fr", "neither"),
        ("mon fri", "neither"),
        ("mon-wed-fri", "neither"),
        ("-", "neither"),
        ("19:00-19:00", "begins and ends at the same time"),
        ("a\nb", r"a\\nb"),
        (",".join(["sat"] * 51), "at most 50 parts"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_sentence(typed: str, what: str) -> None:
    with pytest.raises(BadInput, match=what.replace('"', ".")) as error:
        parse(typed)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("hours", "at", "is_open"),
    [
        ("19:00-07:00", "2026-11-26 18:59:59", False),
        ("19:00-07:00", "2026-11-26 19:00:00", True),
        ("19:00-07:00", "2026-11-27 06:59:59", True),
        ("19:00-07:00", "2026-11-27 07:00:00", False),
        ("fri 19:00-07:00", "2026-11-27 06:00", False),  # a Friday: the night before is not its
        ("fri 19:00-07:00", "2026-11-28 06:00", True),
        ("sun 19:00-07:00", "2026-11-30 06:00", True),  # over the end of the week
        ("sat,sun", "2026-11-29 23:59", True),
        ("sat,sun", "2026-11-30 00:00", False),
        ("sat-mon 10-12", "2026-11-30 11:00", True),
        ("sat-mon 10-12", "2026-11-27 11:00", False),
    ],
)
def test_a_range_over_midnight_belongs_to_the_day_on_which_it_begins(
    hours: str, at: str, *, is_open: bool
) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=BERLIN)
    assert parse(hours).is_open(moment, BERLIN) is is_open


@pytest.mark.parametrize(
    ("hours", "at", "change"),
    [
        # 2026-03-29 in Berlin: 02:00 is followed by 03:00; 2026-10-25: 03:00 by 02:00.
        ("02:30-07:00", "2026-03-29 00:00:00+00:00", "2026-03-29 01:00:00+00:00"),
        ("01:00-02:30", "2026-03-29 00:30:00+00:00", "2026-03-29 01:00:00+00:00"),
        ("02:00-02:30", "2026-03-29 00:30:00+00:00", "2026-03-30 00:00:00+00:00"),
        ("02:30-07:00", "2026-10-25 00:00:00+00:00", "2026-10-25 00:30:00+00:00"),
        ("02:30-07:00", "2026-10-25 00:45:00+00:00", "2026-10-25 01:00:00+00:00"),
        ("02:30-07:00", "2026-10-25 01:00:00+00:00", "2026-10-25 01:30:00+00:00"),
        ("19:00-07:00", "2026-10-24 20:00:00+00:00", "2026-10-25 06:00:00+00:00"),
        ("19:00-07:00", "2026-03-28 20:00:00+00:00", "2026-03-29 05:00:00+00:00"),
        ("sat", "2026-11-26 12:00:00.5+00:00", "2026-11-27 23:00:00+00:00"),
    ],
)
def test_the_next_change_is_right_where_the_clock_is_changed(
    hours: str, at: str, change: str
) -> None:
    moment = datetime.fromisoformat(at)
    assert parse(hours).next_change(moment, BERLIN) == datetime.fromisoformat(change)


@given(HOURS, MOMENTS | CLOCK_CHANGES, ZONES)
def test_it_flips_at_the_next_change_and_nowhere_before(
    hours: OpeningHours, at: datetime, zone: ZoneInfo
) -> None:
    change = hours.next_change(at, zone)
    if change is None:
        assert hours.is_always
        return
    assert change > at
    was_open = hours.is_open(at, zone)
    assert hours.is_open(change, zone) is not was_open
    steps = int((change - at) / timedelta(minutes=17))
    for step in range(min(steps, 200)):
        assert hours.is_open(at + step * timedelta(minutes=17), zone) is was_open
    just_before = max(at, change - timedelta(seconds=1))
    assert hours.is_open(just_before, zone) is was_open
    assert hours.last_change(change, zone) == change


@given(HOURS)
def test_the_text_means_the_same_hours(hours: OpeningHours) -> None:
    assert parse(str(hours))._open == hours._open
    assert (canonical(str(hours)) is None) == hours.is_always


@given(HOURS, MOMENTS)
def test_it_is_open_exactly_where_a_part_says_so(hours: OpeningHours, at: datetime) -> None:
    def covers(part: Part, day: int, minute: int) -> bool:
        on = (day - part.first) % 7 <= (part.last - part.first) % 7
        return on and part.begin <= minute < (
            part.end if part.end > part.begin else part.end + 1440
        )

    day, minute = at.weekday(), at.hour * 60 + at.minute
    expected = any(
        covers(part, day, minute) or covers(part, (day - 1) % 7, minute + 1440)
        for part in hours.parts
    )
    assert hours.is_open(at, UTC) is expected


def test_the_longest_window_is_that_of_the_weekend() -> None:
    assert parse("19:00-07:00,sat,sun").longest == (5 + 24 + 24 + 7) * 3600
    assert parse("sun 12:00-24:00,mon 0-1").longest == 13 * 3600
    assert parse("always").longest == longest_window(None) == longest_window("full moon") == inf
    assert longest_window("sat") == 24 * 3600


def test_hours_are_read_aloud() -> None:
    assert (
        parse("19:00-07:00,sat,sun").in_words == "19:00-07:00 every day, all of sat and all of sun"
    )
    assert parse("mon-fri 19-7").in_words == "mon-fri 19:00-07:00"
    assert DAYS[0] == "mon"
