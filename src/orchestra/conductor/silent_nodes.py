"""The duty that notifies people of nodes whose pilot has not been heard from: once per silence."""

from __future__ import annotations

import psycopg

from orchestra.conductor.term import Transact
from orchestra.services.mail import notifications
from orchestra.store.mail import outbox

SILENT_AFTER = 600.0
"""Seconds without a heartbeat after which people are notified."""


def notify(conn: psycopg.Connection, transact: Transact, *, after: float = SILENT_AFTER) -> None:
    """Write notifications about pilots that have been silent for `after` seconds without having signed off."""
    for pilot in outbox.silent_pilots(conn, after):
        transact(lambda pilot=pilot: _notify(conn, pilot, after))  # type: ignore[misc]


def _notify(conn: psycopg.Connection, pilot: outbox.SilentPilot, after: float) -> bool:
    is_silent = outbox.note_silence_reported(conn, pilot.node_id, after)
    if is_silent:
        notifications.node_silent(conn, pilot)
    return is_silent
