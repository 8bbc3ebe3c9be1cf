"""The node's hours, by this machine's clock, and its planned drain: until when jobs may run here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from time import monotonic

from orchestra.domain.errors import BadInput
from orchestra.domain.models.pilots import Window
from orchestra.domain.opening_hours import OpeningHours, parse
from orchestra.pilot.outcomes import CLOSED

log = logging.getLogger(__name__)

LOOK_EVERY = 20.0
"""Seconds between two looks at the clock, which may have been set or have been suspended."""
LOOK_AGAIN = 1.0
"""Seconds between two looks for attempts to end while it is closed: a claim may have been under way."""


def now_utc() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Opening:
    """What is known of the node's hours, as of the last look at the clock.

    Args:
        hours: None for always.
        drain_at: when the node will be drained, by CLOCK_BOOTTIME; infinite for never.
        closed_at: when it closed, on the wall clock; None while it is open.
        change: when it opens or closes next; None for never.
        is_news: the database has said something new since the last look.
    """

    hours: OpeningHours | None = None
    drain_at: float = inf
    closed_at: datetime | None = None
    change: datetime | None = None
    is_news: bool = False
    _text: str | None = None
    _told_at: datetime | None = None

    @property
    def is_closed(self) -> bool:
        """Whether no job may run now."""
        return self.closed_at is not None

    @property
    def reason(self) -> str:
        """Why attempts are ended while it is closed."""
        return f"{CLOSED} at {self.closed_at:%H:%M}"

    def learn(self, text: str | None, drain_at: float = inf) -> None:
        """Note what the database says. Hours that an earlier agent knew may have been over for long."""
        self.drain_at = drain_at
        if self._text == text and self._told_at:
            return
        try:
            self.hours = parse(text) if text else None
        except BadInput as error:  # of a later version
            log.error("the hours of this node cannot be read: %s", error)
            self.hours = None
        self._text, self.is_news, self.closed_at = text, True, None
        now = now_utc()
        self._told_at = now if self._told_at else datetime.min.replace(tzinfo=UTC)
        self.look(now)

    def look(self, now: datetime) -> None:
        """Find out whether it is open, and until when."""
        hours = self.hours
        self.change = hours.next_change(now) if hours else None
        if hours is None or hours.is_open(now):
            self.closed_at = None
        elif self.closed_at is None and self._told_at:
            began = hours.last_change(now) or now
            self.closed_at = max(began, self._told_at).astimezone()

    @property
    def window(self) -> Window:
        """What the database is told."""
        offset = now_utc().astimezone().utcoffset()
        seconds = round(offset.total_seconds()) if offset else 0
        if self.hours is None or self.change is None:
            return Window(utc_offset=seconds)
        if self.is_closed:
            return Window(self.change, self.hours.next_change(self.change), seconds)
        return Window(None, self.change, seconds)

    def seconds_left(self, boottime: float) -> float:
        """Return the seconds within which jobs that start now must have ended; 0 while it is closed."""
        if self.is_closed:
            return 0.0
        return max(0.0, min(self.drain_at - boottime, self.seconds_to_change))

    @property
    def seconds_to_change(self) -> float:
        """The seconds until it opens or closes."""
        return (self.change - now_utc()).total_seconds() if self.change else inf


class OpeningWatch:
    """Ends what runs when the node closes, and claims again when it opens."""

    def __init__(
        self,
        opening: Opening,
        *,
        end_all: Callable[[str], None],
        opened: Callable[[], None],
        tell: Callable[[], None],
        boottime: Callable[[], float],
    ) -> None:
        """`end_all` ends all attempts, for a reason; `tell` asks and tells the database soon."""
        self._boottime = boottime
        self._opening, self._end_all, self._opened, self._tell = opening, end_all, opened, tell
        self._look_at = inf
        self._was_closed = self._is_drained = False
        self._change: datetime | None = None

    def tick(self, now: float) -> float:
        """Look at the clocks when that is due; return the next wake-up."""
        return min(self._look(now), self._drain(now))

    def _drain(self, now: float) -> float:
        """Ask the database once the moment of a planned drain has come: nothing starts from then on."""
        if self._opening.drain_at == inf:
            return inf
        left = self._opening.drain_at - self._boottime()
        if left <= 0 and not self._is_drained:
            self._tell()
        self._is_drained = left <= 0
        return inf if left <= 0 else now + left

    def _look(self, now: float) -> float:
        opening = self._opening
        if not opening.is_news and now < self._look_at:
            return self._look_at
        is_news, opening.is_news = opening.is_news, False
        opening.look(now_utc())
        if opening.is_closed:
            self._end_all(opening.reason)
        if opening.is_closed != self._was_closed:
            self._note_change()
        if is_news or self._change != opening.change:
            self._change = opening.change
            self._tell()
        # A moment later than the change, since clocks are read one after the other.
        most = LOOK_AGAIN if opening.is_closed else LOOK_EVERY
        due = monotonic() + min(most, opening.seconds_to_change + 0.001)
        self._look_at = due if opening.hours else inf
        return self._look_at

    def _note_change(self) -> None:
        self._was_closed = self._opening.is_closed
        if self._was_closed:
            log.info("%s; ending what still runs", self._opening.reason)
        else:
            log.info("the node is open again")
            self._opened()
