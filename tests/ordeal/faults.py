"""Carries out the steps of a schedule."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from typing import Any

import psycopg

from orchestra.domain.errors import OrchestraError
from orchestra.services.nodes import drains, nodes
from ordeal import processes
from ordeal.arena import Arena, Node
from ordeal.people import People
from ordeal.proxy import Mishap
from ordeal.schedule import Step
from support.people import as_admin

Later = Callable[[float, Callable[[], None]], None]
Say = Callable[[str], None]


class Faults:
    """Carries out steps. Those that may have to wait for the database run in threads."""

    def __init__(self, arena: Arena, people: People, later: Later, say: Say) -> None:
        self.arena, self.people, self.later, self.say = arena, people, later, say
        self._people = ThreadPoolExecutor(3)
        self._keeper_of_database = ThreadPoolExecutor(1)
        self.miscounts: list[str] = []
        self._looking = self._barred = False
        self.mistakes: list[str] = []

    def carry_out(self, step: Step) -> None:
        args = dict(step.args)
        if isinstance(args.get("node"), int):
            args["node"] = self.arena.nodes[args["node"]]
        getattr(self, f"_{step.what}")(**args)

    def finish(self) -> None:
        """Wait for the threads of people's commands."""
        self._people.shutdown()
        self._keeper_of_database.shutdown()

    # People

    def _submit(self, task: int) -> None:
        self._people.submit(
            self._until_done, lambda: self.people.submit(self.arena.schedule.tasks[task])
        )

    def _wish(self, wish: str, pick: float, job: float, typed: bool) -> None:
        def work() -> None:
            with suppress(OrchestraError, psycopg.Error):
                self.say(f"         {wish}: {self.people.wish(wish, pick, job, typed)}")

        self._people.submit(self._noting_mistakes, work)

    def _until_done(self, work: Callable[[], None]) -> None:
        def again() -> None:
            while True:
                try:
                    return work()
                except (OrchestraError, psycopg.Error):
                    sleep(0.3)

        self._noting_mistakes(again)

    def _noting_mistakes(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - in a thread; the ordeal reports it
            self.mistakes.append(f"{error!r}")

    def look_at_counts(self) -> None:
        """Compare the counts in lists with the jobs, in a thread; errors of the database are ignored."""
        if not self._looking:
            self._looking = True
            self._people.submit(self._count)

    def _count(self) -> None:
        with suppress(OrchestraError, psycopg.Error):
            self.miscounts += self.arena.database.miscounts()
        self._looking = False

    # Processes

    def _kill(self, who: str, node: Node, away: float) -> None:
        if who in ("agent", "both"):
            self.arena.kill_agents(node, away)
        if who in ("keeper", "both"):
            self.arena.kill_keepers(node)

    def _kill_conductor(self, node: Node, away: float) -> None:
        def look() -> None:
            with suppress(OrchestraError, psycopg.Error), self.arena.database.connection() as conn:
                row = conn.execute("select holder_name from leader").fetchone()
                holder = next((n for n in self.arena.nodes if row and n.name == row[0]), node)
                self.later(0.0, lambda: self.arena.kill_agents(holder, away))

        self._people.submit(look)

    def _stop(self, who: str, node: Node, seconds: float) -> None:
        pids = []
        if who in ("agent", "both"):
            pids += self.arena.agents(node)
        if who == "job":
            pids += [pid for _, pid in processes.jobs(node.folder)[:1]]
        for pid in pids:
            processes.send(pid, signal.SIGSTOP)
        if who in ("keeper", "both"):
            pids += self.arena.stop_keepers(node, seconds)
        self.later(seconds, lambda: self._go_on(pids))

    @staticmethod
    def _go_on(pids: list[int]) -> None:
        for pid in pids:
            processes.send(pid, signal.SIGCONT)

    def _kill_job(self, node: Node, pick: float) -> None:
        found = processes.jobs(node.folder)
        if found:
            token, pid = found[int(pick * len(found))]
            self.arena.killed_jobs.add(token)
            processes.send(pid, signal.SIGKILL)

    def _fight(self, node: Node, elsewhere: bool, seconds: float) -> None:
        other = self.arena.pilot(node, elsewhere=elsewhere)
        node.others.append(other)
        self.later(seconds, lambda: other.terminate())

    def _leave(self, node: Node, how: str) -> None:
        if how == "signal":
            for pid in self.arena.agents(node):
                processes.send(pid, signal.SIGTERM)
            return

        def ask() -> None:
            with self.arena.database.connection() as conn:
                if how == "drain":
                    drains.drain(conn, as_admin(conn), node.name, reason="new disk")
                else:
                    nodes.stop(conn, as_admin(conn), node.name, now=how == "now")

        def resume() -> None:
            with self.arena.database.connection() as conn:
                drains.resume(conn, as_admin(conn), node.name)

        self._beside(ask)
        if how == "drain":
            self.later(4.0, partial(self._beside, resume))

    def _beside(self, work: Callable[[], None]) -> None:
        self._people.submit(self._if_possible, work)

    @staticmethod
    def _if_possible(work: Callable[[], None]) -> None:
        with suppress(OrchestraError, psycopg.Error):
            work()

    # The network, the disk

    def _net(
        self, mode: str, node: Node | str, seconds: float, after: int = 0, way: str = "up"
    ) -> None:
        chosen = self.arena.nodes if isinstance(node, str) else [node]
        self._turn(chosen, mode, after=after, way=way)
        self.later(seconds, lambda: self._turn(chosen, "open"))

    def _turn(self, chosen: list[Node], mode: str, *, after: int = 0, way: str = "up") -> None:
        for node in chosen if not self._barred else ():
            self.arena.proxy.set(node.gate, mode, after=after, way=way)

    def _mishap(self, node: Node, **what: Any) -> None:
        self.arena.proxy.befall(node.gate, Mishap(**what))

    def _full(self, seconds: float) -> None:
        self.arena.fill()
        self.later(seconds, self.arena.make_room)

    # The database

    def _kill_database(self, away: float) -> None:
        self.arena.database.kill(all_at_once=round(monotonic()) % 2 == 0)
        self.later(away, self.start_database)

    def _kill_backend(self, pick: float) -> None:
        self.arena.database.kill_backend(pick)

    def _stop_database(self, seconds: float) -> None:
        self.arena.database.suspend()
        self.later(seconds, self.arena.database.resume)

    def start_database(self) -> None:
        """Start it in a thread. May be repeated."""
        self._keeper_of_database.submit(self._until_done, self.arena.database.start)

    def _keep_database(self, as_files: bool) -> None:
        work = partial(self.arena.database.keep, as_files=as_files)
        self._keeper_of_database.submit(self._until_done, work)

    def _restore_database(self, as_files: bool) -> None:
        def work() -> None:
            if not as_files:
                self._turn(self.arena.nodes, "refuse")
                self._barred = True
            self.arena.database.bring_back(as_files=as_files)
            self._barred = False
            self._turn(self.arena.nodes, "open")
            self.arena.restored = monotonic()
            self.say("         the database is an old one now")

        self._keeper_of_database.submit(self._until_done, work)
