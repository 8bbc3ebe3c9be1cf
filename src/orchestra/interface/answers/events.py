"""Pages of events."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.events import Event


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in the order in which they are read; `cursor` continues after the last one, and is opaque.

    `resync`: the cursor of the request belongs to another state of the database (it was restored, for example), so
    whatever was read before may differ. The new cursor begins now.
    """

    events: tuple[Event, ...]
    cursor: str
    resync: bool = False
