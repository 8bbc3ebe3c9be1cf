"""When a node may run jobs: `19:00-07:00,sat,sun`, by its own local clock. Pure.

Parts are separated by commas. One without days is for every day, one without times for the whole day; a range over
midnight belongs to the day on which it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from math import inf

from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed, one_line

ALWAYS = "always"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EXAMPLE = 'For example "19:00-07:00,sat,sun" or "mon-fri 20:00-06:30"; "always" for no hours.'

_MINUTE = timedelta(minutes=1)
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
_MOST_PARTS = 50
_LOOK_AHEAD = timedelta(days=9)
"""Hours repeat after a week; where the clock is changed, one occasion may be missing."""

_PART = re.compile(r"(\D*?)\s*(\d.*)?", re.DOTALL)
_TIMES = re.compile(r"(\d{1,2})(?::(\d\d))?\s*-\s*(\d{1,2})(?::(\d\d))?")
_DAY_RANGE = re.compile(r"([a-z]+)(?:\s*-\s*([a-z]+))?")


@dataclass(frozen=True, slots=True)
class Part:
    """One range of times on some days.

    Args:
        first, last: days, from 0 for Monday; `last` may be before `first`, over the end of the week.
        begin, end: minutes after midnight, up to 1440; an `end` that is not after `begin` is on the next day.
    """

    first: int = 0
    last: int = 6
    begin: int = 0
    end: int = _DAY_MINUTES

    def __str__(self) -> str:
        if self.is_whole_day:
            return self._days() or "mon-sun"
        return f"{self._days()} {self._times()}".strip()

    @property
    def is_whole_day(self) -> bool:
        """Whether it lasts from midnight to midnight."""
        return (self.begin, self.end) == (0, _DAY_MINUTES)

    @property
    def in_words(self) -> str:
        """For sentences: "mon-fri 19:00-07:00", "all of sat", "every day 19:00-07:00"."""
        if self.is_whole_day:
            return f"all of {self}"
        return str(self) if self._days() else f"{self._times()} every day"

    def weekly_ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the minutes of the week at which it begins and ends; an end may be beyond the week."""
        length = (
            self.end - self.begin if self.end > self.begin else self.end + _DAY_MINUTES - self.begin
        )
        for day in range(self.first, self.last + 1 if self.last >= self.first else self.last + 8):
            begin = day % 7 * _DAY_MINUTES + self.begin
            yield begin, begin + length

    def _days(self) -> str:
        if (self.last - self.first) % 7 == 6:
            return ""
        first, last = DAYS[self.first], DAYS[self.last]
        return first if first == last else f"{first}-{last}"

    def _times(self) -> str:
        return f"{_clock(self.begin)}-{_clock(self.end)}"


@dataclass(frozen=True)
class OpeningHours:
    """When a node may run jobs. `str` is the canonical text, which `parse` reads."""

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        return ",".join(map(str, self.parts))

    @property
    def in_words(self) -> str:
        """For sentences: "every day 19:00-07:00, all of sat and all of sun"."""
        return listed([part.in_words for part in self.parts])

    @cached_property
    def _open(self) -> bytes:
        """For each minute of a week, from Monday at 0:00, whether it is open."""
        minutes = bytearray(_WEEK_MINUTES)
        for part in self.parts:
            for begin, end in part.weekly_ranges():
                for minute in range(begin, end):
                    minutes[minute % _WEEK_MINUTES] = 1
        return bytes(minutes)

    @property
    def is_always(self) -> bool:
        """Whether no minute of the week is left out."""
        return 0 not in self._open

    @property
    def longest(self) -> float:
        """Seconds of its longest window without a break: no job that takes longer can ever end in time."""
        if self.is_always:
            return inf
        twice = self._open * 2  # a window may go over the end of the week
        return 60.0 * max(map(len, twice.split(b"\0")))

    def is_open(self, at: datetime, zone: tzinfo | None = None) -> bool:
        """Whether jobs may run at a moment. `zone` is the node's, None for this machine's."""
        return self._is_open(_wall(at, zone))

    def _is_open(self, wall: datetime) -> bool:
        return bool(self._open[_minute_of_week(wall)])

    def next_change(self, at: datetime, zone: tzinfo | None = None) -> datetime | None:
        """Return when it opens or closes next after a moment; None if it never does.

        Goes from one change of the wall clock's range to the next. Where the clock itself is changed on the way, looks
        at that moment, too: it may skip an opening, or repeat one.
        """
        moment, was_open = at.astimezone(UTC), self.is_open(at, zone)
        until = moment + _LOOK_AHEAD
        while moment < until:
            wall = _wall(moment, zone)
            ahead = moment + (self._next_flip(wall) - wall)
            if _offset(ahead, zone) != _offset(moment, zone):
                ahead = min(ahead, _clock_change(moment, ahead, zone))
            moment = ahead
            if self.is_open(moment, zone) != was_open:
                return moment
        return None

    def last_change(self, at: datetime, zone: tzinfo | None = None) -> datetime | None:
        """Return when it opened or closed last, at a moment or before; None if it never did."""
        last = None
        change = self.next_change(at - _LOOK_AHEAD, zone)
        while change and change <= at:
            last, change = change, self.next_change(change, zone)
        return last

    def _next_flip(self, wall: datetime) -> datetime:
        """Return the next minute after a time of the wall clock at which it opens or closes, at most a day later."""
        now = _minute_of_week(wall)
        flipped = b"\0" if self._open[now] else b"\1"
        ahead = (self._open * 2).find(flipped, now, now + _DAY_MINUTES)
        steps = _DAY_MINUTES if ahead < 0 else ahead - now
        return wall.replace(second=0, microsecond=0) + steps * _MINUTE


def parse(text: str) -> OpeningHours:
    """Parse hours as people type them; see the top of the module.

    Raises:
        BadInput: a day or a time cannot be understood.
    """
    given = text.strip().lower()
    if given == ALWAYS:
        return OpeningHours((Part(),))
    texts = given.split(",")
    if len(texts) > _MOST_PARTS:
        raise BadInput(f"hours may have at most {_MOST_PARTS} parts.")
    return OpeningHours(tuple(dict.fromkeys(_part(each.strip(), text) for each in texts)))


def canonical(text: str) -> str | None:
    """Return hours as they are stored; None if they leave out no minute.

    Raises:
        BadInput: as `parse`.
    """
    hours = parse(text)
    return None if hours.is_always else str(hours)


def longest_window(text: str | None) -> float:
    """Return the seconds of the longest window of stored hours; infinity for none, or if they cannot be read here."""
    try:
        return parse(text or ALWAYS).longest
    except BadInput:  # of a later version
        return inf


def _part(part: str, text: str) -> Part:
    found = _PART.fullmatch(part)
    days, times = found.groups() if found else (part, None)
    if not (days or times):
        raise BadInput(f'"{one_line(text)}" has an empty part.', hint=EXAMPLE)
    first, last = _days(days, text) if days else (0, 6)
    begin, end = _times(times, text) if times else (0, _DAY_MINUTES)
    return Part(first, last, begin, end)


def _days(days: str, text: str) -> tuple[int, int]:
    found = _DAY_RANGE.fullmatch(days)
    if not found:
        raise _not_hours(days, text)
    first = day_of(found[1])
    last = first if found[2] is None else day_of(found[2])
    if first is None or last is None:
        raise _not_hours(days, text)
    return first, last


def day_of(word: str) -> int | None:
    """Return the day of the week, from 0 for Monday, that at least three letters of its name mean; else None."""
    for number, name in enumerate(FULL_DAYS):
        if len(word) >= 3 and name.startswith(word.lower()):
            return number
    return None


def _times(times: str, text: str) -> tuple[int, int]:
    found = _TIMES.fullmatch(times)
    if not found:
        raise _not_hours(times, text)
    begin, end = (_minutes(found[n], found[n + 1]) for n in (1, 3))
    if begin is None or end is None or begin == _DAY_MINUTES:
        raise _not_hours(times, text)
    if begin == end:
        raise BadInput(
            f'"{one_line(times)}" begins and ends at the same time.',
            hint='"00:00-24:00" is the whole day.',
        )
    return begin, end


def _minutes(hour: str, minute: str | None) -> int | None:
    minutes = int(hour) * 60 + int(minute or 0)
    return minutes if int(minute or 0) < 60 and minutes <= _DAY_MINUTES else None


def _not_hours(part: str, text: str) -> BadInput:
    where = "" if part == text.strip().lower() else f' in "{one_line(text)}"'
    return BadInput(
        f'"{one_line(part)}"{where} is neither days nor a range of times.', hint=EXAMPLE
    )


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _minute_of_week(wall: datetime) -> int:
    return wall.weekday() * _DAY_MINUTES + wall.hour * 60 + wall.minute


def _wall(at: datetime, zone: tzinfo | None) -> datetime:
    """What the wall clock shows at a moment."""
    return at.astimezone(zone).replace(tzinfo=None)


def _offset(at: datetime, zone: tzinfo | None) -> timedelta:
    return _wall(at, zone) - at.astimezone(UTC).replace(tzinfo=None)


def _clock_change(begin: datetime, end: datetime, zone: tzinfo | None) -> datetime:
    """Return the first moment, to the second, at which the wall clock is as far from UTC as at the end."""
    after = _offset(end, zone)
    while end - begin > timedelta(seconds=1):
        middle = begin + (end - begin) / 2
        begin, end = (begin, middle) if _offset(middle, zone) == after else (middle, end)
    return end.replace(microsecond=0)
