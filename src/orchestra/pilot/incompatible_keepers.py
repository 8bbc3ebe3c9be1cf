"""Keepers whose protocol this agent does not speak: it knows them by what they write down, and can tell them nothing.

They keep their jobs and their slots. Their outcomes are taken from the spool, where they stay; what is to be ended is
ended from outside; and their lease is not prolonged, so that they end by themselves what outlives it. When one has
nothing left to keep, it is killed: it would wait for an acknowledgement for ever.
"""

from __future__ import annotations

from orchestra.domain import troubles
from orchestra.pilot.context import Context
from orchestra.pilot.keeper_process import end_keeper, has_agent
from orchestra.pilot.keepers import KeeperHandle
from orchestra.pilot.supervise import Supervisor

LOOK_EVERY = 1.0


class IncompatibleKeepers:
    """Looks into the spools of keepers that cannot be spoken with."""

    def __init__(self, context: Context, supervisor: Supervisor) -> None:
        self.context, self._supervisor = context, supervisor

    def tick(self, now: float) -> float:
        """Look when it is time; gives when to be called again."""
        due = float("inf")
        for handle in self._handles():
            if now >= handle.again_at:
                handle.again_at = now + LOOK_EVERY
                self._look(handle)
            due = min(due, handle.again_at)
        self._say()
        return due

    def _handles(self) -> list[KeeperHandle]:
        handles = self.context.keepers.handles.values()
        return [handle for handle in handles if handle.incompatible and not handle.dead]

    def _look(self, handle: KeeperHandle) -> None:
        if not self.context.keepers.look(handle):
            return
        self._supervisor.meet(handle)
        nothing_left = not handle.hello.running and not any(self.context.state.of_keeper(handle.id))
        if nothing_left and not handle.dead and not has_agent(handle.hello):
            end_keeper(handle.hello)

    def _say(self) -> None:
        """Have `node list` say whose jobs run on."""
        self.context.troubles.pop("foreign", None)
        for handle in self._handles():
            hello = handle.hello
            self.context.troubles["foreign"] = troubles.keeper_foreign(
                hello.version, hello.pid, len(hello.running)
            )
