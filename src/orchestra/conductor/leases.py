"""The duty that gives away what dead keepers held: those whose lease is over, and those that others have fenced."""

from __future__ import annotations

import logging
from uuid import UUID

import psycopg

from orchestra.conductor.term import Transact
from orchestra.domain.human import duration
from orchestra.domain.leases import is_dead
from orchestra.services import fencing
from orchestra.store import pilots

WHO = "orchestra"
BURIAL_AFTER = 10.0
"""Seconds that the agent of a fenced keeper gets to report what the keeper left, before its jobs are given away."""

log = logging.getLogger(__name__)


def guard(conn: psycopg.Connection, transact: Transact, *, margin: float) -> None:
    """Fence the keepers that must be dead by now, and give away what fenced ones hold."""
    for silent in pilots.silent_keepers(conn):
        if is_dead(silent.silence, margin=margin):
            _give_up(conn, transact, silent)
    for keeper in pilots.unburied_keepers(conn, BURIAL_AFTER):
        while transact(lambda keeper=keeper: _chunk(conn, keeper)):  # type: ignore[misc]
            pass


def _give_up(conn: psycopg.Connection, transact: Transact, silent: pilots.SilentKeeper) -> None:
    reason = f"its node was not heard of for {duration(silent.silence.silent_for)}"

    def fence() -> bool:
        # Renewed since we looked: then it lives.
        return fencing.fence(conn, silent.id, reason, who=WHO, renewed_at=silent.renewed_at)

    if transact(fence):
        log.warning(
            "conductor: keeper %s of node %s is given up: %s", silent.id, silent.node, reason
        )
        while transact(lambda: _chunk(conn, silent.id)):
            pass


def _chunk(conn: psycopg.Connection, keeper: UUID) -> bool:
    return fencing.give_away_chunk(conn, keeper, who=WHO) > 0
