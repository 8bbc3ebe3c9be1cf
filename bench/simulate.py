"""How long jobs wait with each order: first come first served, fair share, fair share with backfill.

    python -m bench.simulate                          a generated trace of a lab, six seeds
    python -m bench.simulate --trace CTC-SP2.swf.gz   a trace in the Standard Workload Format, on its own machine
    python -m bench.simulate --trace x.swf --nodes 32 --cpus 16

Time is simulated; what starts is decided by the scheduler's own functions (bench/simulation.py).
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench import swf, traces
from bench.machine import watching
from bench.page import command_line, publish
from bench.simulation import Job, Policy, Run, Simulation
from bench.table import Bar, Section, Table, number, percentile
from orchestra.domain.resources import Room

SHORT = 10.0
"""Jobs that are shorter count as so many seconds in the bounded slowdown (Feitelson and others, 1997)."""
SEEDS, TASKS, SMALL = 6, 100, 40
_ORDERS = (
    "FIFO: a job that fits nowhere lets all others wait. Fair share: it is passed, so that jobs which need much wait "
    "long. Hold back: what would delay it starts on no node that could ever run it, as before reservations. Backfill: "
    "one node waits for it, and takes jobs that end before it starts or fit beside it."
)
_TIMES = (
    "Of the tasks, 60 % say how long a job takes at most, 1.2 to 3 times too long; of the others, the 95th percentile "
    "of done jobs is known from the fifth on. Without either, a job starts beside a reservation only if it fits there."
)
_TRACES = "`python -m bench.simulate --trace FILE` replays a trace in the Standard Workload Format."
_PRICE = (
    "A reservation shortens the waits of jobs that need a whole node, and the others pay for it. Among the tasks of "
    "one user, the nodes are used more as well."
)
NOTES = (_ORDERS, _TIMES, _PRICE, _TRACES)


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of a trace.

    Args:
        utilisation: the slot seconds that jobs held, of those that the nodes had until the last job ended.
        wide, small: mean seconds that jobs waited which need more than half a node, and others.
        late: the 95th percentile of all waits.
        slowdown: the mean bounded slowdown, (wait + time) / max(time, 10 s), at least 1.
        worst_user: the highest mean bounded slowdown of a user.
    """

    utilisation: float
    wide: float
    small: float
    late: float
    slowdown: float
    worst_user: float


def slowdown(run: Run) -> float:
    """Return a job's bounded slowdown."""
    return max(1.0, (run.waited + run.job.seconds) / max(run.job.seconds, SHORT))


def figures(runs: Sequence[Run], nodes: Sequence[Room]) -> Figures:
    """Return the figures of jobs that have run on nodes; nan for the wait of jobs that there are not."""
    largest = max(room.cpus for room in nodes)
    begin = min((run.job.submitted for run in runs), default=0.0)
    end = max((run.ended for run in runs), default=0.0)
    had = sum(room.cpus for room in nodes) * (end - begin)
    wide = [run.waited for run in runs if _slots(run, nodes) * 2 > largest]
    small = [run.waited for run in runs if _slots(run, nodes) * 2 <= largest]
    by_user: dict[int, list[float]] = {}
    for run in runs:
        by_user.setdefault(run.job.user, []).append(slowdown(run))
    return Figures(
        sum(run.job.seconds * _slots(run, nodes) for run in runs) / had if had else float("nan"),
        _mean(wide),
        _mean(small),
        percentile([run.waited for run in runs], 95),
        _mean([each for user in by_user.values() for each in user]),
        max(map(_mean, by_user.values()), default=float("nan")),
    )


def _slots(run: Run, nodes: Sequence[Room]) -> int:
    return nodes[run.host].cpus if run.job.request.exclusive else run.job.request.cpus


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else float("nan")


def mean(several: Sequence[Figures]) -> Figures:
    """Return the means of figures over traces."""
    return Figures(
        *(_mean([getattr(each, named.name) for each in several]) for named in fields(Figures))
    )


def simulated(jobs: Iterable[Job], nodes: Sequence[Room], policy: Policy) -> tuple[Figures, int]:
    """Run a trace; return its figures, and how many jobs no node is large enough for."""
    simulation = Simulation(jobs, nodes, policy)
    runs = list(simulation.run())
    return figures(runs, nodes), len(simulation.refused)


def _rows(found: dict[Policy, Figures]) -> list[Sequence[str]]:
    return [
        (
            policy.value,
            f"{100 * each.utilisation:.1f} %",
            number(each.wide / 60),
            number(each.small / 60),
            number(each.late / 60),
            number(each.slowdown),
            number(each.worst_user),
        )
        for policy, each in found.items()
    ]


def _bars(found: dict[Policy, Figures], figure: str, factor: float) -> list[Bar]:
    return [
        Bar(policy.value, factor * getattr(each, figure), ours=policy is Policy.BACKFILL)
        for policy, each in found.items()
    ]


def section(
    found: dict[Policy, Figures],
    one_user: dict[Policy, Figures] | None,
    what: str,
) -> Section:
    intro = (
        f"{what} Time is simulated; order, shares, reservations and what fits are decided by the functions of the "
        "scheduler itself. Waits are in minutes: the mean of jobs that need more than half a node, of the others, and "
        "the 95th percentile of all. The slowdown is (wait + time) / max(time, 10 s), the mean of all jobs and of "
        "those of the user who has the highest."
    )
    head = ("utilisation", "wide wait", "other waits", "95 %", "slowdown", "worst user's")
    tables: list[Table] = [(("order", *head), _rows(found))]
    if one_user:
        tables.append(((f"{SMALL} tasks of one user, no GPUs", *head), _rows(one_user)))
    bars = {
        "utilisation, %": _bars(found, "utilisation", 100),
        "mean wait of jobs that need more than half a node, minutes": _bars(found, "wide", 1 / 60),
        "mean wait of the other jobs, minutes": _bars(found, "small", 1 / 60),
        "mean bounded slowdown": _bars(found, "slowdown", 1),
    }
    return Section("simulation", "Order and backfill", intro, tables, NOTES, bars)


def _of_lab(seeds: int, **how: Any) -> tuple[dict[Policy, Figures], int]:
    """Return the figures of generated traces, and how many jobs one has."""
    nodes = traces.lab()
    several: dict[Policy, list[Figures]] = {policy: [] for policy in Policy}
    count = 0
    for seed in range(1, seeds + 1):
        jobs = traces.generated(seed, **how)
        count += len(jobs)
        for policy in Policy:
            several[policy].append(simulated(jobs, nodes, policy)[0])
        print(f"  seed {seed} of {how}", file=sys.stderr)
    return {policy: mean(each) for policy, each in several.items()}, count // seeds


def _of_trace(
    path: Path, nodes: int | None, cpus: int | None, most: int | None
) -> tuple[dict[Policy, Figures], str]:
    trace = swf.read(path)
    machine = [Room(cpus)] * (nodes or 1) if cpus else trace.machine()
    jobs = trace.jobs[:most]
    found = {}
    refused = 0
    for policy in Policy:
        found[policy], refused = simulated(jobs, machine, policy)
        print(f"  {policy.value}: {found[policy]}", file=sys.stderr)
    what = (
        f"{path.name}: {len(jobs):,} jobs on {len(machine):,} x {machine[0].cpus:,} processors; {trace.skipped:,} had "
        f"no time, {refused:,} fit on no node."
    )
    return found, what


def main() -> int:
    parser = command_line(__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument(
        "--trace", type=Path, help="in the Standard Workload Format; .gz is unpacked"
    )
    parser.add_argument("--nodes", type=int, help="of the machine of a trace; one by default")
    parser.add_argument("--cpus", type=int, help="of each node")
    parser.add_argument("--jobs", type=int, help="only the first N of a trace")
    args = parser.parse_args()
    if args.nodes and not args.cpus:
        parser.error("--nodes needs --cpus, the processors of each.")
    if args.trace and args.docs:
        parser.error("--docs is for the generated trace.")
    with watching() as watch:
        try:
            if args.trace:
                one_user = None
                found, what = _of_trace(args.trace, args.nodes, args.cpus, args.jobs)
            else:
                one_user, _ = _of_lab(args.seeds, tasks=SMALL, users=1, on_gpu=0.0)
                found, jobs = _of_lab(args.seeds, tasks=args.tasks)
                what = (
                    f"Generated traces of a lab, means of {args.seeds} seeds: {args.tasks} tasks of six users, about "
                    f"{jobs:,} jobs, come in bursts to 12 nodes of {traces.CPUS} CPU slots. Of the tasks, 15 % need "
                    "whole nodes and 15 % GPUs."
                )
        except (swf.NotATrace, OSError) as error:
            parser.error(str(error))
    publish(section(found, one_user, what), watch, args.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
