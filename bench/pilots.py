"""Pilots without processes: they claim and report through services/work, as fast as the database lets them."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier, Event
from uuid import UUID, uuid4

import psycopg

from orchestra.conductor import run as conductor
from orchestra.domain.errors import DatabaseUnavailable
from orchestra.domain.models.pilots import KeeperHello, PilotHello
from orchestra.domain.models.work import Grant, Outcome, Revision
from orchestra.domain.resources import Room
from orchestra.domain.states import Cause
from orchestra.domain.usage import Usage
from orchestra.services import work
from orchestra.store.driver.database import connect

LOG_TAIL = b"epoch 1: loss 0.25\n"
WARMING = 3
"""Claims and reports before the clock runs: a pilot's connection lives for days, its statements are planned once."""


@dataclass
class Pilot:
    """A pilot of a node of its own, with one connection."""

    conn: psycopg.Connection
    agent: UUID
    keeper: UUID
    request: int = 0
    sequence: int = 0
    known: set[Revision] = field(default_factory=set)
    admissions: work.Admissions = field(default_factory=work.Admissions)

    def claim(self, jobs: int) -> tuple[Grant, ...]:
        self.request += 1
        claim = work.claim(
            self.conn,
            self.agent,
            self.keeper,
            self.request,
            Room(jobs),
            self.known,
            admissions=self.admissions,
        )
        self.known |= claim.tasks.keys()
        return claim.grants

    def report(self, grants: tuple[Grant, ...], *, status: int = 0) -> None:
        work.report(self.conn, self.keeper, [self._outcome(grant, status) for grant in grants])

    def _outcome(self, grant: Grant, status: int) -> Outcome:
        self.sequence += 1
        return Outcome(
            grant.key,
            Cause.EXIT,
            sequence=self.sequence,
            exit_status=status,
            seconds=0.5,
            usage=Usage(cpu_seconds=0.4, max_rss_bytes=50 << 20),
            log_bytes=len(LOG_TAIL),
            log_tail=LOG_TAIL,
        )


def pilot(conn: psycopg.Connection, name: str) -> Pilot:
    """Bring a node online, with a pilot that can serve every task."""
    conn.execute(
        "insert into node (name, cpu_enabled, cpu_max, gpu_enabled, gpu_max) values (%s, 64, 64, 0, 0) "
        "on conflict do nothing",
        [name],
    )
    boot, machine = str(uuid4()), f"machine-{name}"
    hello = PilotHello(
        node=name, agent=uuid4(), machine_id=machine, boot_id=boot, host=name, pid=1, account="bench", is_root=True,
        serve_all=True, may_conduct=False, version="0", protocol=work.PROTOCOL,
    )  # fmt: skip
    standing = work.attach(conn, hello)
    keeper = KeeperHello(uuid4(), machine, boot, 1, "0", work.PROTOCOL)
    work.register_keeper(conn, standing.node_id, keeper)
    return Pilot(conn, hello.agent, keeper.id)


@contextmanager
def conducting(url: str) -> Iterator[None]:
    """Run a conductor in its own process."""
    stop = multiprocessing.get_context("spawn").Event()
    process = multiprocessing.get_context("spawn").Process(
        target=_conduct, args=(url, stop), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        stop.set()
        process.join(10)
        process.kill()


def _conduct(url: str, stop: threading.Event) -> None:
    conductor.run(lambda: connect(url, name="bench conductor"), stop, name="bench")


def rate(
    url: str, *, pilots: int, batch: int, seconds: float, processes: int = 2
) -> tuple[float, float]:
    """Let pilots claim and report batches for a while; return jobs per second and claims per second."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.SimpleQueue()
    shares = [pilots // processes + (n < pilots % processes) for n in range(processes)]
    running = [
        context.Process(target=_serve, args=(url, n, share, batch, seconds, barrier, results))
        for n, share in enumerate(shares)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join(seconds + 120)
    failed = [process for process in running if process.exitcode != 0]
    for process in failed:
        process.kill()
    if failed:
        raise RuntimeError("simulated pilots failed")
    figures = [results.get() for _ in running]
    jobs, claims = sum(f[0] for f in figures), sum(f[1] for f in figures)
    elapsed = max(f[2] for f in figures)
    return jobs / elapsed, claims / elapsed


@dataclass(frozen=True, slots=True)
class Crew:
    """Pilots that claim and report."""

    fail: Event

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Let every job fail."""
        self.fail.set()
        try:
            yield
        finally:
            self.fail.clear()


@contextmanager
def busy(url: str, *, pilots: int, batch: int, processes: int = 2) -> Iterator[Crew]:
    """Let pilots claim and report batches all the time."""
    context = multiprocessing.get_context("spawn")
    stop, fail = context.Event(), context.Event()
    running = [
        context.Process(
            target=_work, args=(url, n, pilots // processes, batch, stop, fail), daemon=True
        )
        for n in range(processes)
    ]
    for process in running:
        process.start()
    try:
        yield Crew(fail)
    finally:
        stop.set()
        for process in running:
            process.join(20)
            process.kill()


def _work(url: str, number: int, pilots: int, batch: int, stop: Event, fail: Event) -> None:
    crew = [pilot(connect(url, repeats=True), f"busy-{number}-{n}") for n in range(pilots)]

    def work(one: Pilot) -> None:
        while not stop.is_set():
            try:
                grants = one.claim(batch)
                one.report(grants, status=int(fail.is_set()))
            except DatabaseUnavailable as error:
                print(f"a pilot: {error}", file=sys.stderr)
            else:
                time.sleep(0 if grants else 0.02)

    threads = [threading.Thread(target=work, args=(one,)) for one in crew]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _serve(
    url: str,
    number: int,
    pilots: int,
    batch: int,
    seconds: float,
    barrier: Barrier,
    results: multiprocessing.SimpleQueue[tuple[int, int, float]],
) -> None:
    """Run some of the pilots, a thread each."""
    crew = [pilot(connect(url, repeats=True), f"bench-{number}-{n}") for n in range(pilots)]
    for one in crew:
        for _ in range(WARMING):
            one.report(one.claim(1))
    done: list[tuple[int, int] | None] = [None] * pilots
    barrier.wait(120)
    began = time.monotonic()

    def serve(index: int) -> None:
        jobs = claims = 0
        while time.monotonic() - began < seconds:
            grants = crew[index].claim(batch)
            crew[index].report(grants)
            jobs, claims = jobs + len(grants), claims + 1
            if not grants:
                time.sleep(0.05)
        done[index] = jobs, claims

    threads = [threading.Thread(target=serve, args=(index,)) for index in range(pilots)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.monotonic() - began
    finished = [share for share in done if share]
    if len(finished) < pilots:
        raise RuntimeError(f"{pilots - len(finished)} simulated pilots failed")
    results.put((sum(jobs for jobs, _ in finished), sum(claims for _, claims in finished), elapsed))
