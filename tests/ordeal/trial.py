"""One ordeal: run the schedule, wait until the work has ended, stop the pilots, and check the facts."""

from __future__ import annotations

import heapq
import itertools
import re
import shutil
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from pprint import pformat
from time import monotonic, sleep

import psycopg

from orchestra.domain.errors import OrchestraError
from ordeal import collect, processes
from ordeal.arena import Arena
from ordeal.checks import evidence, violations
from ordeal.facts import Facts
from ordeal.faults import Faults
from ordeal.people import People
from ordeal.schedule import ROOM, Schedule

REST = 120.0
"""Seconds that the work has to end after the last fault; up to three times as many while it makes progress."""
STANDSTILL = 45.0
"""Seconds without a change after which it makes no progress."""
LEAVE = 40.0
"""Seconds that pilots and keepers have to exit once there is nothing to do."""


@dataclass
class Verdict:
    """The result of one ordeal; `folder` is kept only if there are violations."""

    schedule: Schedule
    violations: list[str]
    folder: Path
    facts: Facts = field(repr=False)

    def __str__(self) -> str:
        facts = self.facts
        lost = sum(row.lost for row in facts.attempts)
        zombies = sum(bool(life.beside) for life in facts.lives)
        head = (
            f"seed {self.schedule.seed}: {len(facts.tasks)} tasks, {len(facts.jobs)} jobs, "
            f"{len(facts.attempts)} attempts ({lost} lost, {zombies} beside a zombie), {len(facts.keepers)} keepers, "
            f"{facts.mishaps.total()} mishaps of the network, at most "
            f"{max((load.share for load in facts.loads), default=0.0):.0%} of a core"
        )
        if not self.violations:
            return f"{head}: all is well"
        lines = [f"{head}: {len(self.violations)} violations; see {self.folder}"]
        lines += [*self.violations, "What is known:", *evidence(self.facts, self.violations)]
        return "\n  ".join(lines)


class Ordeal:
    """One ordeal, from an empty database to the last process."""

    def __init__(self, schedule: Schedule, *, loud: bool = True) -> None:
        self.schedule, self._loud = schedule, loud
        self.root = Path(tempfile.mkdtemp(prefix=f"orchestra-ordeal-{schedule.seed}-", dir="/tmp"))
        self.root.chmod(0o711)
        self._log = (self.root / "ordeal.log").open("a", encoding="utf-8")
        self.arena = Arena(self.root, schedule)
        self.people = People(self.arena.database, self.root, self.arena.volume, self.arena.truth)
        self.faults = Faults(self.arena, self.people, self._later, self._say)
        self.facts = Facts()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._began = monotonic()

    def run(self) -> Verdict:
        """Run all of it. The folder is kept if there are violations."""
        try:
            self.arena.open()
            self._began = monotonic()
            self._say(f"# monotonic {self._began:.2f}, nodes {self.schedule.nodes}")
            self._play()
            self._let_rest()
            self._leave()
        finally:
            self.arena.close()
            self._log.close()
        verdict = Verdict(self.schedule, violations(self.facts), self.root, self.facts)
        if verdict.violations:
            (self.root / "facts.txt").write_text(pformat(self.facts, width=160))
        else:
            shutil.rmtree(self.root)
        return verdict

    # The schedule

    def _play(self) -> None:
        for step in self.schedule.steps:
            self._later(step.at - (monotonic() - self._began), lambda step=step: self._do(step))  # type: ignore[misc]
        looked = 0.0
        while self._due:
            if monotonic() - looked > 1.5:
                looked = monotonic()
                self.faults.look_at_counts()
            self._step()

    def _do(self, step: object) -> None:
        self._say(str(step))
        self.faults.carry_out(step)  # type: ignore[arg-type]

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (monotonic() + seconds, next(self._order), call))

    def _step(self) -> None:
        while self._due and self._due[0][0] <= monotonic():
            heapq.heappop(self._due)[2]()
        self.arena.tend()
        wait = self._due[0][0] - monotonic() if self._due else 0.1
        sleep(min(0.1, max(0.0, wait)))

    def _say(self, text: str) -> None:
        line = f"[{monotonic() - self._began:7.2f}] {text}"
        self._log.write(line + "\n")
        self._log.flush()
        if self._loud:
            print(line, flush=True)

    # The end

    def _let_rest(self) -> None:
        self._say("# no more harm")
        self.faults.start_database()
        self.arena.make_room()
        self.faults.finish()
        for node in self.arena.nodes:
            self.arena.proxy.set(node.gate, "open")
        for pid in self.arena.marked():
            processes.send(pid, signal.SIGCONT)
        deadline, at_last = monotonic() + REST, monotonic() + REST * 3
        before: list[str] = []
        while monotonic() < deadline and (left := self._what_is_left()):
            if left != before:  # a single node may have minutes of work
                before, deadline = left, min(at_last, max(deadline, monotonic() + STANDSTILL))
            self.arena.tend()
            sleep(0.25)
        else:
            left = self._what_is_left()
        self.facts.unsettled += left
        self._say(f"# at rest, {len(left)} things left")
        self.arena.tend()
        self.arena.measure_idle(3.0)
        self._collect()

    def _what_is_left(self) -> list[str]:
        try:
            self.people.release_all()
            with self.arena.database.connection() as conn:
                left = collect.at_rest(conn)
        except (OrchestraError, psycopg.Error) as error:
            return [f"the database: {error}"]
        for node in self.arena.nodes:
            for hello in (h for folder in node.folders for h in processes.spools(folder)):
                left += [f"{node.name} runs {s.key}" for s in hello.running]
                left += [f"{node.name} has not reported {e.key}" for e in hello.outcomes]
        return left

    def _collect(self) -> None:
        facts, arena = self.facts, self.arena
        with arena.database.connection() as conn:
            facts.tasks, facts.jobs = (
                collect.tasks(conn, self.schedule.requests),
                collect.jobs(conn),
            )
            facts.attempts, facts.events = collect.attempts(conn), collect.events(conn)
            facts.moves, facts.acceptances = collect.moves(conn), collect.acceptances(conn)
            facts.notifications = collect.notifications(conn)
        facts.lives = collect.lives(arena.truth)
        facts.miscounts = [*self.faults.miscounts, *arena.database.miscounts()]
        facts.keepers, facts.agentless = arena.keepers, arena.absences()
        facts.room = ROOM
        facts.restored = arena.restored
        facts.mishaps = arena.proxy.happened()
        facts.killed_jobs, facts.loads = arena.killed_jobs, arena.loads
        facts.unsettled += [
            f"a mistake of the ordeal's own: {text}" for text in self.faults.mistakes
        ]
        self._note_aside()

    def _note_aside(self) -> None:
        """Return the outcomes that pilots have set aside, and the tracebacks in their logs: both are bugs."""
        for path in self.arena.state.glob("*/set-aside/*"):
            text = path.read_text()
            if self.arena.restored is None or "never granted it" not in text:
                self.facts.unsettled.append(f"set aside: {text[:300]}")
        for path in [
            *self.arena.state.glob("*/agent.log*"),
            *self.root.glob("*.out"),
            *self.arena.state.glob("*/keepers/*/keeper.log"),
        ]:
            said = path.read_text(errors="replace")
            # If the log cannot be written, Python prints a traceback with the message.
            said = re.sub(
                r"--- Logging error ---.*?^Arguments: [^\n]*$", "", said, flags=re.M | re.S
            )
            for block in said.split("Traceback")[1:]:
                self.facts.unsettled.append(
                    f"a traceback in {path.name} of {path.parent.name}: {block[:1500]}"
                )

    def _leave(self) -> None:
        """Stop every pilot, and return what is left."""
        arena = self.arena
        jobs = [
            pid for pid in arena.marked() if "ORCHESTRA_TOKEN" in str(processes.environment(pid))
        ]
        self.facts.leftovers += [f"a job's process: {processes.command(pid)}" for pid in jobs]
        arena.closing = True
        for node in arena.nodes:
            for pid in [
                p
                for f in node.folders
                for p in processes.agents(str(Path(__file__).with_name("pilot.py")), f)
            ]:
                processes.send(pid, signal.SIGTERM)
        deadline = monotonic() + LEAVE
        while monotonic() < deadline and arena.marked():
            arena.tend()
            sleep(0.2)
        self.facts.leftovers += [f"{processes.command(pid)}" for pid in arena.marked()]
        self._say("# over")
