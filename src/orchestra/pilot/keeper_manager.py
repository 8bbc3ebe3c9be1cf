"""The duty that sees to it that a node has a keeper to take jobs, and that every keeper is known and heard."""

from __future__ import annotations

import logging
from functools import partial

from orchestra.domain import troubles
from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.pilots import KeeperHello
from orchestra.pilot.context import Context
from orchestra.pilot.supervise import Supervisor
from orchestra.services import work

log = logging.getLogger(__name__)

AGAIN = 5.0
"""Seconds between two tries to start a keeper, or to hear a silent one."""


class KeeperManager:
    """Adopts keepers and starts new ones.

    Args:
        introductions: how each keeper is introduced to the database on a new connection. Replaced as a whole: the
            courier's thread reads it.
    """

    def __init__(self, context: Context, supervisor: Supervisor) -> None:
        self.context, self._supervisor = context, supervisor
        self.introductions: tuple[KeeperHello, ...] = ()
        self._again_at = 0.0

    def tick(self, now: float) -> float:
        """Hear silent keepers and start one where none takes jobs; gives when to be called again."""
        keepers = self.context.keepers
        if not self.context.adopted:
            return float("inf")
        if now < self._again_at:
            return self._again_at
        self._say_silent()
        wanted = keepers.needs_one and not self.context.state.draining
        if not (keepers.some_silent or wanted):
            return float("inf")
        self._again_at = now + AGAIN
        if keepers.some_silent:
            self.adopt()
        else:
            self._start()
        return self._again_at

    def _say_silent(self) -> None:
        """Have `node list` say why nothing is claimed while a keeper of an earlier agent does not answer."""
        self.context.troubles.pop("unheard", None)
        if error := self.context.keepers.some_silent:
            self.context.troubles["unheard"] = troubles.keeper_unheard(str(error))

    def adopt(self) -> None:
        """Take over the keepers that an earlier agent left."""
        for handle in self.context.keepers.adopt():
            running, outcomes = len(handle.hello.running), len(handle.hello.outcomes)
            log.info("keeper %s: %d running, %d outcomes", handle.id, running, outcomes)
            self._supervisor.meet(handle)
        self.context.adopted = True
        self._introduce()

    def remind_of_the_dead(self) -> None:
        """Tell a database that was replaced by an older edition which keepers cannot say what they run any more."""
        agent = self.context.agent
        for keeper in self.context.database_memory.closed_out:
            self.context.database.submit(
                lambda conn, keeper=keeper: work.close_out(
                    conn, agent, keeper, "its keeper has died"
                ),  # type: ignore[misc]
                lambda _: None,
                partial(log.error, "the death of keeper %s could not be told: %s", keeper),
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
        # That prolongs their leases, of which a foreign one hears nothing.
        self.introductions = tuple(
            handle.introduction(machine) for handle in handles if not handle.incompatible
        )
