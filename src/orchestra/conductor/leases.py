"""The duty that fences keepers whose lease has expired and requeues the jobs of fenced keepers."""

from __future__ import annotations

import logging
from uuid import UUID

import psycopg

from orchestra.conductor.term import Transact
from orchestra.domain.human import duration
from orchestra.domain.leases import is_dead
from orchestra.services.nodes import fencing
from orchestra.store.work import pilots

WHO = "orchestra"
REQUEUE_AFTER = 10.0
"""Seconds that the agent of a fenced keeper has to report the keeper's outcomes before its jobs are requeued."""

log = logging.getLogger(__name__)


def expire(conn: psycopg.Connection, transact: Transact, *, margin: float) -> None:
    """Fence the keepers that must be dead by now, and requeue the jobs of fenced keepers."""
    for silent in pilots.silent_keepers(conn):
        if is_dead(silent.silence, margin=margin):
            _fence(conn, transact, silent)
    for keeper in pilots.keepers_to_close_out(conn, REQUEUE_AFTER):
        _requeue_jobs(conn, transact, keeper)


def _fence(conn: psycopg.Connection, transact: Transact, silent: pilots.SilentKeeper) -> None:
    reason = f"its node was not heard from for {duration(silent.silence.silent_for)}"

    def fence() -> bool:
        # False if the lease was renewed in the meantime.
        return fencing.fence(conn, silent.id, reason, who=WHO, renewed_at=silent.renewed_at)

    if transact(fence):
        log.warning("conductor: keeper %s of node %s is fenced: %s", silent.id, silent.node, reason)
        _requeue_jobs(conn, transact, silent.id)


def _requeue_jobs(conn: psycopg.Connection, transact: Transact, keeper: UUID) -> None:
    while transact(lambda: fencing.requeue_chunk(conn, keeper, who=WHO) > 0):
        pass
