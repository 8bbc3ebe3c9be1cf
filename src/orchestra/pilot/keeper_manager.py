"""The duty that keeps one keeper ready for jobs, and every keeper registered and connected."""

from __future__ import annotations

import logging
from functools import partial
from uuid import UUID

import psycopg

from orchestra.domain import troubles
from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.pilots import KeeperHello
from orchestra.pilot.context import Context
from orchestra.pilot.supervise import Supervisor
from orchestra.services import work

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""Seconds between two attempts to start a keeper, or to reach a silent one."""


class KeeperManager:
    """Adopts keepers and starts new ones.

    Args:
        introductions: every keeper's identity, for registration over a new connection. Replaced as a whole, because
            the database thread reads it.
    """

    def __init__(self, context: Context, supervisor: Supervisor) -> None:
        self.context, self._supervisor = context, supervisor
        self.introductions: tuple[KeeperHello, ...] = ()
        self._retry_at = 0.0

    def tick(self, now: float) -> float:
        """Adopt keepers that were silent, or start one where none takes jobs; return the next wake-up."""
        keepers = self.context.keepers
        if not self.context.adopted:
            return float("inf")
        if now < self._retry_at:
            return self._retry_at
        self._report_silent()
        must_start = keepers.needs_one and not self.context.state.draining
        if not (keepers.silent_error or must_start):
            return float("inf")
        self._retry_at = now + RETRY_SECONDS
        if keepers.silent_error:
            self.adopt()
        else:
            self._start()
        return self._retry_at

    def _report_silent(self) -> None:
        """Show in `node list` why nothing is claimed while a keeper of an earlier agent does not answer."""
        self.context.troubles.pop("unheard", None)
        if error := self.context.keepers.silent_error:
            self.context.troubles["unheard"] = troubles.keeper_unheard(str(error))

    def adopt(self) -> None:
        """Take over the keepers of earlier agents."""
        for handle in self.context.keepers.adopt():
            running, outcomes = len(handle.hello.running), len(handle.hello.outcomes)
            log.info("keeper %s: %d running, %d outcomes", handle.id, running, outcomes)
            self._supervisor.take_inventory(handle)
        self.context.adopted = True
        self._introduce()

    def close_out_again(self) -> None:
        """Close out all dead keepers in a database that was replaced by an older copy, which may believe they live."""
        agent = self.context.agent
        for keeper in self.context.database_memory.closed_out:
            self.context.database.submit(
                partial(_close_out, agent=agent, keeper=keeper),
                lambda _: None,
                partial(log.error, "keeper %s could not be closed out: %s", keeper),
            )

    def _start(self) -> None:
        try:
            self.context.keepers.start()
        except OrchestraError as error:
            log.error("%s", error)
            self.context.troubles["keeper"] = troubles.no_keeper(str(error))
            return
        self.context.troubles.pop("keeper", None)
        self._introduce()

    def _introduce(self) -> None:
        machine = self.context.machine_id
        handles = self.context.keepers.handles.values()
        # A registration renews the lease, which an incompatible keeper could not be told.
        self.introductions = tuple(h.introduction(machine) for h in handles if not h.incompatible)


def _close_out(conn: psycopg.Connection, agent: UUID, keeper: UUID) -> int:
    return work.close_out(conn, agent, keeper, "its keeper has died")
