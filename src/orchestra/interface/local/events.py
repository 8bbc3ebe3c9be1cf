"""Carries out the requests of `interface/events.py`."""

from __future__ import annotations

from orchestra.domain.errors import BadInput
from orchestra.interface import events as ask
from orchestra.interface.answers.events import EventPage
from orchestra.interface.local import Scope
from orchestra.services.database import event_feed

AT_MOST = 5000


def list_events(scope: Scope, asked: ask.ListEvents) -> EventPage:
    if not 1 <= asked.limit <= AT_MOST:
        raise BadInput(f"the limit of a page of events is 1 to {AT_MOST}, not {asked.limit}.")
    return event_feed.events_after(scope.conn, asked.after, asked.limit)
