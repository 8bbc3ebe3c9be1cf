"""The duty that notices nodes which have fallen silent, and has their people written to: once for each silence."""

from __future__ import annotations

import psycopg

from orchestra.conductor.term import Transact
from orchestra.services import letters
from orchestra.store import outbox

SILENT_AFTER = 600.0
"""Seconds without a word after which people are told."""


def notice(conn: psycopg.Connection, transact: Transact, *, after: float = SILENT_AFTER) -> None:
    """Write letters about pilots that have been silent for so many seconds without a goodbye, once for each silence."""
    for pilot in outbox.silent_pilots(conn, after):
        transact(lambda pilot=pilot: _tell(conn, pilot, after))  # type: ignore[misc]


def _tell(conn: psycopg.Connection, pilot: outbox.SilentPilot, after: float) -> bool:
    told = outbox.note_silence_told(conn, pilot.node_id, after)
    if told:
        letters.node_silent(conn, pilot)
    return told
