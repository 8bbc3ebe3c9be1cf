"""What contenders did with the same jobs on a Slurm, and the section of docs/performance.md about it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.slurm import CPUS, NODES, Held
from bench.table import Bar, Section, Table, number, verdict

ARRAY, HYPERQUEUE, POOL = "Slurm array", "HyperQueue", "Orchestra pool"
NO_OPS, SLEEPS = "no-ops", "sleeps"
FASTER, LONGER = 50.0, 1.1
"""At least so many times the array's rate; at most so many times HyperQueue's makespan."""

HEAD = (
    "makespan, s",
    "first start, s",
    "jobs/s",
    "overhead a job, ms",
    "sbatch calls",
    "pilot hours",
    "unused",
)
INTRO = (
    f"The same jobs on a real Slurm on this machine: {NODES} nodes of {CPUS} CPUs, with Slurm's default parameters of "
    f"scheduling. HyperQueue and the pool may have {NODES} nodes and {NODES} requests that wait; all else is as by "
    "default (`--min-work 2m`; HyperQueue has no such option). Nothing is known of the jobs before. The *makespan* is "
    "from the submission to the last outcome, *first start* the time until the first job ran, from which on *jobs/s* "
    "are counted. *Overhead* is the slot time that was held while jobs ran, less their own. *Pilot hours* are hours of "
    "a whole node until it was given back; for the array, of its jobs' CPUs."
)
SHARED = (
    "Slurm's times are whole seconds. Its daemons, HyperQueue, PostgreSQL, Orchestra and all jobs share the same "
    "processors."
)
REAL = (
    "HyperQueue's package on PyPI brings no program `hq`. Its server, automatic allocation and workers are the real "
    "ones; bench/autoalloc.py sends what `hq alloc add slurm` sends, and starts workers as `hq worker start` does."
)


@dataclass(frozen=True, slots=True)
class Work:
    """So many jobs that each sleep for so long."""

    jobs: int
    seconds: float

    @property
    def command(self) -> str:
        return f"sleep {self.seconds:g}" if self.seconds else "true"


@dataclass(frozen=True, slots=True)
class Run:
    """What one contender did with some work; times are seconds since the epoch.

    Args:
        began: when its first job started.
        ended: when the outcome of the last one was known.
        held: what its jobs of Slurm held, all of them.
        sbatches: how often it called `sbatch`.
    """

    work: Work
    submitted: float
    began: float
    ended: float
    held: tuple[Held, ...]
    sbatches: int

    @property
    def makespan(self) -> float:
        return self.ended - self.submitted

    @property
    def rate(self) -> float:
        """Jobs per second from the start of the first one."""
        return self.work.jobs / max(self.ended - self.began, 0.001)  # whole seconds of few jobs

    @property
    def overhead(self) -> float:
        """Slot seconds that it held while jobs ran, for each job, beyond the job's own."""
        slots = sum(each.slot_seconds(self.began, self.ended) for each in self.held)
        return slots / self.work.jobs - self.work.seconds

    @property
    def pilot_hours(self) -> float:
        """Hours of whole nodes that were held."""
        return sum((each.ended - each.began) * each.cpus for each in self.held) / CPUS / 3600

    @property
    def used(self) -> float:
        """Hours of whole nodes that the jobs themselves took."""
        return self.work.jobs * self.work.seconds / CPUS / 3600

    @property
    def unused(self) -> float:
        """Hours of whole nodes that were held while none of the jobs ran there."""
        return self.pilot_hours - self.used


Found = Mapping[str, Mapping[str, Run]]
"""Runs by contender, and by the kind of work: no-ops and sleeps."""


def section(found: Found, works: Mapping[str, Work], idle: float | None) -> Section:
    """Return the section; `idle` are the seconds after which an idle node was given back, None for the defaults."""
    tables: list[Table] = [
        (
            (f"{work.jobs:,} x `{work.command}`", *HEAD),
            [_row(name, runs[kind]) for name, runs in found.items()],
        )
        for kind, work in works.items()
    ]
    if bounds := _against_array(found) + _against_hyperqueue(found):
        tables.append((("bound", "measured", ""), bounds))
    charts: tuple[tuple[str, str, Callable[[Run], float]], ...] = (
        (NO_OPS, "jobs per second from the first start", lambda run: run.rate),
        (SLEEPS, "makespan, s", lambda run: run.makespan),
        (SLEEPS, "minutes of nodes that no job used", lambda run: run.unused * 60),
    )
    bars = {
        f"{works[kind].jobs:,} x {works[kind].command}: {title}": [
            Bar(name, value(runs[kind]), name == POOL) for name, runs in found.items()
        ]
        for kind, title, value in charts
    }
    return Section(
        "pools", "Pools on Slurm", INTRO, tables, (_idle(idle), SHARED, REAL, *_limits(found)), bars
    )


def _idle(seconds: float | None) -> str:
    if seconds is not None:
        return f"Both give back a node that was idle for {seconds:.0f} s."
    return (
        "HyperQueue gives back a node that was idle for 5 min, a pool one that was for 2 min. With "
        "`python -m bench.pools --idle 30` both wait as long."
    )


def _limits(found: Found) -> list[str]:
    """Explain what limits the rate of no-ops, if its bound is missed."""
    if not {POOL, ARRAY} <= set(found):
        return []
    ours, peer = found[POOL][NO_OPS].rate, found[ARRAY][NO_OPS].rate
    if ours >= FASTER * peer:
        return []
    limit = (
        f"The limit of the no-ops is the processors. {FASTER:.0f} times the array's rate would be "
        f"{number(FASTER * peer)} jobs/s, and *Jobs per second on one node* shows how many a bare loop of posix_spawn "
        "starts here. This Slurm has nothing else to do, keeps no accounts, and has its nodes on the same machine."
    )
    return [limit]


def _row(name: str, run: Run) -> tuple[str, ...]:
    return (
        name,
        number(run.makespan),
        number(run.began - run.submitted),
        number(run.rate),
        number(run.overhead * 1000),
        str(run.sbatches),
        f"{run.pilot_hours:.3f}",
        f"{run.unused:.3f}",
    )


def _against_array(found: Found) -> list[tuple[str, str, str]]:
    if not {POOL, ARRAY} <= set(found):
        return []
    ratio = found[POOL][NO_OPS].rate / found[ARRAY][NO_OPS].rate
    return [
        _bound(f"no-ops: at least {FASTER:.0f} x the array's jobs/s", ratio, FASTER, at_least=True)
    ]


def _against_hyperqueue(found: Found) -> list[tuple[str, str, str]]:
    if not {POOL, HYPERQUEUE} <= set(found):
        return []
    ours, peer = found[POOL][SLEEPS], found[HYPERQUEUE][SLEEPS]
    return [
        _bound(
            f"sleeps: at most {LONGER} x HyperQueue's makespan",
            ours.makespan / peer.makespan,
            LONGER,
        ),
        _bound("sleeps: at most its pilot hours", ours.pilot_hours / peer.pilot_hours, 1.0),
        _bound("sleeps: fewer unused ones", ours.unused / peer.unused, 1.0),
    ]


def _bound(
    what: str, ratio: float, limit: float, *, at_least: bool = False
) -> tuple[str, str, str]:
    return what, f"{number(ratio)} x", verdict(ratio, limit, at_least=at_least)
