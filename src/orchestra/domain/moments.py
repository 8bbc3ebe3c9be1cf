"""A moment in the future as people type it: `18:00`, `Fri 18:00`, `tomorrow 07:30`, `2026-12-01 18:00`. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.opening_hours import day_of

EXAMPLE = 'For example "18:00", "Fri 18:00", "tomorrow 07:30" or "2026-12-01 18:00".'

_TIME = re.compile(r"(?:([a-z]+)\s+)?([01]?\d|2[0-3]):([0-5]\d)", re.IGNORECASE)
_DATE_AND_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\S+( ?[+-]\d\d:?\d\d)?")
_RELATIVE = {"today": 0, "tomorrow": 1}


def parse_moment(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Parse a moment after `now`, in a time zone (None: this machine's) unless the text names another.

    A time of the day, and one on a day of the week, mean the next such moment.

    Raises:
        BadInput: it cannot be understood, or has passed.
    """
    today = now.astimezone(zone).replace(tzinfo=None)
    moment = _next_time(text.strip(), today) or _date(text.strip(), text)
    if moment.tzinfo is None:
        moment = moment.astimezone() if zone is None else moment.replace(tzinfo=zone)
    if moment <= now:
        raise BadInput(f"{shown(moment, zone)} has passed.")
    return moment


def shown(moment: datetime, zone: tzinfo | None = None) -> str:
    """A moment in full, to the minute: `Fri 2026-11-27 18:00`; with seconds, if it has some."""
    local = moment.astimezone(zone)
    return f"{local:%a %Y-%m-%d %H:%M}" + (f":{local:%S}" if local.second else "")


def _next_time(text: str, now: datetime) -> datetime | None:
    """Return the next moment with a time, on a day if one is named; None if the text is not of this form."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    word = (found[1] or "").lower()
    moment = now.replace(hour=int(found[2]), minute=int(found[3]), second=0, microsecond=0)
    if word in _RELATIVE:
        return moment + timedelta(days=_RELATIVE[word])
    day = day_of(word) if word else None
    if word and day is None:
        return None
    ahead = 0 if day is None else (day - now.weekday()) % 7
    moment += timedelta(days=ahead)
    every = timedelta(days=1 if day is None else 7)
    return moment if moment > now else moment + every


def _date(text: str, given: str) -> datetime:
    try:
        if _DATE_AND_TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise BadInput(f'"{one_line(given)}" is not a day with a time.', hint=EXAMPLE)
