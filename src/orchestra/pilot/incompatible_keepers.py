"""Keepers whose protocol this agent does not speak: it reads their spools and can send them nothing.

They keep their jobs and their slots. Their outcomes are read from the spool, where they remain. An attempt that must
end is ended from outside, and the lease is not renewed, so that the keeper itself ends what outlives it. A keeper with
nothing left is killed, because it would wait for an acknowledgement forever.
"""

from __future__ import annotations

from orchestra.domain import troubles
from orchestra.pilot.context import Context
from orchestra.pilot.keeper_handle import KeeperHandle
from orchestra.pilot.keeper_process import end_keeper, has_agent
from orchestra.pilot.supervise import Supervisor

READ_EVERY = 1.0


class IncompatibleKeepers:
    """Reads the spools of incompatible keepers."""

    def __init__(self, context: Context, supervisor: Supervisor) -> None:
        self.context, self._supervisor = context, supervisor

    def tick(self, now: float) -> float:
        """Read the spools that are due; return the next wake-up."""
        due = float("inf")
        for handle in self._handles():
            if now >= handle.reconnect_at:
                handle.reconnect_at = now + READ_EVERY
                self._read(handle)
            due = min(due, handle.reconnect_at)
        self._report()
        return due

    def _handles(self) -> list[KeeperHandle]:
        handles = self.context.keepers.handles.values()
        return [handle for handle in handles if handle.incompatible and not handle.dead]

    def _read(self, handle: KeeperHandle) -> None:
        if not self.context.keepers.refresh(handle):
            return
        self._supervisor.take_inventory(handle)
        nothing_left = not handle.hello.running and not any(self.context.state.of_keeper(handle.id))
        if nothing_left and not handle.dead and not has_agent(handle.hello):
            end_keeper(handle.hello)

    def _report(self) -> None:
        """Show in `node list` whose jobs run on."""
        self.context.troubles.pop("incompatible keeper", None)
        for handle in self._handles():
            hello = handle.hello
            self.context.troubles["incompatible keeper"] = troubles.keeper_foreign(
                hello.version, hello.pid, len(hello.running)
            )
