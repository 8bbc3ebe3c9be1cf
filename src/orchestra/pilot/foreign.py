"""Keepers whose protocol this agent does not speak: it knows them by what they write down, and can tell them nothing.

They keep their jobs and their slots. Their outcomes are taken from the spool, where they stay; what is to be ended is
ended from outside; and their lease is not prolonged, so that they end by themselves what outlives it. When one has
nothing left to keep, it is killed: it would wait for an acknowledgement for ever.
"""

from __future__ import annotations

from orchestra.domain import troubles
from orchestra.pilot import link
from orchestra.pilot.desk import Desk
from orchestra.pilot.keepers import Port
from orchestra.pilot.supervise import Supervisor

LOOK_EVERY = 1.0


class Foreigners:
    """Looks into the spools of keepers that cannot be spoken with."""

    def __init__(self, desk: Desk, supervisor: Supervisor) -> None:
        self.desk, self._supervisor = desk, supervisor

    def tick(self, now: float) -> float:
        """Look when it is time; gives when to be called again."""
        due = float("inf")
        for port in self._ports():
            if now >= port.again_at:
                port.again_at = now + LOOK_EVERY
                self._look(port)
            due = min(due, port.again_at)
        self._say()
        return due

    def _ports(self) -> list[Port]:
        ports = self.desk.keepers.ports.values()
        return [port for port in ports if port.foreign and not port.dead]

    def _look(self, port: Port) -> None:
        if not self.desk.keepers.look(port):
            return
        self._supervisor.meet(port)
        nothing_left = not port.hello.running and not any(self.desk.state.of_keeper(port.id))
        if nothing_left and not port.dead and not link.has_agent(port.hello):
            link.end_keeper(port.hello)

    def _say(self) -> None:
        """Have `node list` say whose jobs run on."""
        self.desk.troubles.pop("foreign", None)
        for port in self._ports():
            hello = port.hello
            self.desk.troubles["foreign"] = troubles.keeper_foreign(
                hello.version, hello.pid, len(hello.running)
            )
