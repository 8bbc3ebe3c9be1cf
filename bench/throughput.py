"""No-op jobs on one node of two slots, next to bare posix_spawn, HyperQueue, GNU parallel and Dask.

    python -m bench.throughput --jobs 5000 --rounds 3

Orchestra does all that it does for a real job: inputs checked, a folder, a log and a link each, every state in
PostgreSQL on the same processors. The contenders take turns; another one is first in each round. Processor time counts
the whole pilot (agent, helpers, keeper), and a second time beside processes that never wait, as on a desktop in use.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import peers
from bench.machine import (
    cpu_seconds,
    helpers_seconds,
    spinning,
    tree_seconds,
    waited_seconds,
    watching,
)
from bench.page import command_line, publish
from bench.site import Site, site
from bench.table import Bar, Section, Table, median, number, spread, verdict

OURS = "Orchestra"
SPINNING = 2
BESIDE = f"{OURS}, beside {SPINNING} spinning processes"
OF_SPAWN, OF_HYPERQUEUE = 0.5, 1.8


def run_task(
    place: Site,
    config: str,
    data: str,
    name: str,
    timeout: float = 600,
    more: tuple[object, ...] = (),
    job: str = "true %DATA %IN %OUT",
) -> float:
    """Run a task of no-ops; return jobs per second, from the first start to the last recorded outcome.

    Args:
        more: options of `task create`.
        job: the command of each job.
    """
    command = ("--exec", job, "--test-jobs", 0, "-t", f"user.ana.{name}", *more)
    place.maestro("task", "create", "-c", config, "-d", data, *command)
    deadline = time.monotonic() + timeout
    with place.connect() as conn:
        while True:
            row = conn.execute(
                "select t.id, t.state::text, t.jobs, sum(c.done) from task t join task_count c on c.task_id = t.id "
                "where t.name = %s group by t.id",
                [f"user.ana.{name}"],
            ).fetchone()
            assert row
            task, state, jobs, done = row
            if state == "DONE" and done == jobs:
                break
            if time.monotonic() > deadline or state not in ("REGISTERED", "RUNNING"):
                raise TimeoutError(f"task {task} is {state}: {done} of {jobs} jobs are done")
            time.sleep(0.2)
        seconds = conn.execute(
            "select extract(epoch from (select max(at) from event where task_id = %(task)s and kind = 'job') "
            "- (select min(started_at) from attempt where task_id = %(task)s))",
            {"task": task},
        ).fetchone()
    assert seconds
    return float(jobs) / float(seconds[0])


@dataclass
class Shares:
    """Processor seconds by process while tasks run: of the whole pilot, of PostgreSQL and of the jobs."""

    place: Site
    agent: int
    keeper: int
    used: dict[str, float] = field(default_factory=dict)

    def read(self) -> dict[str, float]:
        return {
            "agent": cpu_seconds(self.agent),
            "its helpers": helpers_seconds(self.agent, but=self.keeper),
            "keeper": cpu_seconds(self.keeper),
            "PostgreSQL": tree_seconds(self.place.postmaster),
            "the jobs themselves": waited_seconds(self.keeper),
        }

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Add the processor time that is used within the context."""
        before = self.read()
        yield
        for who, seconds in self.read().items():
            self.used[who] = self.used.get(who, 0.0) + seconds - before[who]

    def of_a_job(self, jobs: int) -> dict[str, float]:
        """Return the milliseconds of each of so many jobs."""
        return {who: used * 1000 / jobs for who, used in self.used.items()}


Costs = dict[str, dict[str, float]]
"""Milliseconds of processor time of an Orchestra job, by circumstance and process."""


def measure(place: Site, jobs: int, rounds: int) -> tuple[dict[str, list[float]], Costs]:
    """Let the contenders take turns, with Orchestra a second time beside spinning processes.

    Returns the jobs per second of each round.
    """
    names = [OURS, BESIDE, *peers.installed()]
    figures: dict[str, list[float]] = {name: [] for name in names}
    data, config = place.files("input", 1), place.files("grid", jobs)
    with place.pilot(slots=peers.SLOTS) as agent:
        keeper = place.keeper(agent)
        shares = {name: Shares(place, agent, keeper) for name in (OURS, BESIDE)}
        for turn in range(rounds):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                if name in shares:
                    task = f"round{turn}-{names.index(name)}"
                    with spinning(SPINNING if name == BESIDE else 0), shares[name].counting():
                        rate = run_task(place, config, data, task)
                else:
                    folder = place.folder / "peers" / f"{turn}-{names.index(name)}"
                    rate = peers.measure(name, jobs, folder)
                figures[name].append(rate)
                print(f"  round {turn + 1}, {name}: {rate:.0f} jobs/s", file=sys.stderr)
    return figures, {name: each.of_a_job(jobs * rounds) for name, each in shares.items()}


def section(figures: dict[str, list[float]], costs: Costs, jobs: int, rounds: int) -> Section:
    middle = {name: median(values) for name, values in figures.items()}
    ours = middle[OURS]
    rows = []
    for name, values in figures.items():
        ratio = "" if name in costs else number(ours / middle[name])
        bound = {"posix_spawn": OF_SPAWN, "HyperQueue": OF_HYPERQUEUE}.get(name)
        kept = (
            f"at least {bound}: {verdict(ours / middle[name], bound, at_least=True)}"
            if bound
            else ""
        )
        rows.append((name, number(middle[name]), spread(values), ratio, kept))
    intro = (
        f"{jobs:,} jobs that do nothing, on one node with {peers.SLOTS} slots, from the first start to the last "
        f"recorded outcome; medians of {rounds} rounds. Each contender writes a log for each job, and all except "
        "HyperQueue (which writes two files per job into one folder) make a folder for it. *posix_spawn* is a bare "
        "loop; *our shell* is the same with the shell and the command line of an Orchestra job. Only Orchestra stores "
        "the state of each job in PostgreSQL, on the same processors, and checks its inputs."
    )
    head = ("contender", "jobs/s", "lowest to highest", "Orchestra / contender", "bound")
    bars = {
        "no-op jobs per second": [Bar(name, value, name in costs) for name, value in middle.items()]
    }
    used = [(who, *(number(each[who]) for each in costs.values())) for who in costs[OURS]]
    used.append(("total", *(number(sum(each.values())) for each in costs.values())))
    of_a_job = (
        "processor time of an Orchestra job",
        "ms",
        f"ms, beside {SPINNING} spinning processes",
    )
    tables: list[Table] = [(head, rows), (of_a_job, used)]
    notes = _limits(middle, costs[OURS])
    return Section("throughput", "Jobs per second on one node", intro, tables, notes, bars)


def _limits(middle: dict[str, float], shares: dict[str, float]) -> list[str]:
    """Explain what limits the result, if a bound is missed."""
    wanted = {"posix_spawn": OF_SPAWN, "HyperQueue": OF_HYPERQUEUE}
    needed = max(factor * middle[name] for name, factor in wanted.items() if name in middle)
    if middle[OURS] >= needed:
        return []
    together, jobs = sum(shares.values()), shares["the jobs themselves"]
    busy = together * middle[OURS] / 1000 / peers.SLOTS
    limit = (
        f"The limit is the {peers.SLOTS} processors. A job uses {number(together)} ms of processor time, "
        f"{number(jobs)} ms of it for its own process. The rest is two folders, a log, two symlinks, an entry in the "
        "keeper's spool, rows in PostgreSQL, and the Python between them. The processors were busy with this for "
        f"{busy:.0%} of the time."
    )
    way = (
        f"The bound would take {number(peers.SLOTS * 1000 / needed)} ms per job on processors that do nothing else and "
        "never wait. Less than that needs an agent and a keeper that are not written in Python."
    )
    return [limit, way]


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with site(args.folder) as place, watching() as watch:
        figures, costs = measure(place, args.jobs, args.rounds)
    publish(section(figures, costs, args.jobs, args.rounds), watch, args.docs)


if __name__ == "__main__":
    main()
