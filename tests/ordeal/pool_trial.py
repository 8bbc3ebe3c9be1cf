"""One ordeal of a pool on a real Slurm: run the plan, wait until all work has ended and all pilots have left, check."""

from __future__ import annotations

import heapq
import itertools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from pprint import pformat
from time import monotonic, sleep

from orchestra.domain.resources import Room
from ordeal import collect
from ordeal.checks import violations
from ordeal.facts import Facts
from ordeal.pool_arena import PoolArena
from ordeal.pool_plan import CPUS, PoolPlan
from ordeal.trial import Verdict

REST, LEAVE = 240.0, 60.0
"""Seconds that the work has to end after the last fault, and the pilots to leave after it: Slurm starts a job again
no earlier than two minutes after it was requeued."""


class PoolOrdeal:
    """One ordeal, from an empty database and an empty Slurm to empty ones."""

    def __init__(self, plan: PoolPlan, *, loud: bool = True) -> None:
        self.plan, self._loud = plan, loud
        seed = plan.schedule.seed
        self.root = Path(tempfile.mkdtemp(prefix=f"ordeal-pool-{seed}-", dir="/tmp"))
        self.root.chmod(0o711)
        self._log = (self.root / "ordeal.log").open("a", encoding="utf-8")
        self.arena = PoolArena(self.root, plan, self._later)
        self.facts = Facts()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._began = monotonic()

    def run(self) -> Verdict:
        """Run all of it. The folder is kept if there are violations."""
        try:
            self.arena.open()
            self._began = monotonic()
            self._play()
            self._rest()
        finally:
            self.arena.close()
            self._log.close()
        verdict = Verdict(self.plan.schedule, violations(self.facts), self.root, self.facts)
        if verdict.violations:
            (self.root / "facts.txt").write_text(pformat(self.facts, width=160))
        else:
            shutil.rmtree(self.root)
        return verdict

    def _play(self) -> None:
        for step in self.plan.schedule.steps:
            self._later(step.at, lambda step=step: self._do(step))  # type: ignore[misc]
        while self._due:
            while self._due and self._due[0][0] <= monotonic():
                heapq.heappop(self._due)[2]()
            self.arena.tend()
            sleep(0.1)

    def _do(self, step: object) -> None:
        self._say(str(step))
        self.arena.carry_out(step)  # type: ignore[arg-type]

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (monotonic() + seconds, next(self._order), call))

    def _say(self, text: str) -> None:
        line = f"[{monotonic() - self._began:7.2f}] {text}"
        self._log.write(line + "\n")
        self._log.flush()
        if self._loud:
            print(line, flush=True)

    def _rest(self) -> None:
        self._say("# no more harm")
        self.arena.make_peace()
        left = self._wait(REST, self._open_work)
        self.facts.unsettled += left
        self._say(f"# at rest, {len(left)} things left")
        self.facts.leftovers += self._wait(LEAVE, self.arena.leftovers)
        self.facts.leftovers += self.arena.mistakes()
        self._say("# over")
        self._collect()

    def _open_work(self) -> list[str]:
        self.arena.people.release_all()
        with self.arena.database.connection() as conn:
            return collect.at_rest(conn)

    def _wait(self, seconds: float, look: Callable[[], list[str]]) -> list[str]:
        """Wait until nothing is left; return what is left."""
        deadline = monotonic() + seconds
        while (left := look()) and monotonic() < deadline:
            self.arena.tend()
            sleep(0.25)
        return left

    def _collect(self) -> None:
        facts, arena = self.facts, self.arena
        with arena.database.connection() as conn:
            facts.tasks = collect.tasks(conn, self.plan.schedule.requests)
            facts.jobs, facts.attempts = collect.jobs(conn), collect.attempts(conn)
            facts.events, facts.moves = collect.events(conn), collect.moves(conn)
            facts.acceptances = collect.acceptances(conn)
            facts.notifications = collect.notifications(conn)
        facts.lives = collect.lives(arena.truth)
        facts.miscounts = arena.database.miscounts()
        facts.keepers, facts.room = arena.keepers(), Room(CPUS)
        for path in (self.root / "run.out", *(self.root / "home").rglob("*.log")):
            for block in path.read_text(errors="replace").split("Traceback")[1:]:
                facts.unsettled.append(f"a traceback in {path.name}: {block[:1500]}")
