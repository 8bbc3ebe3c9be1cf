"""How many pilots a pool starts for the same jobs, beside the rules of HyperQueue and Parsl.

    python -m bench.pools_simulated

Time is simulated; what is submitted is decided by the scheduler's own functions (bench/pool_simulation.py).
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from bench.machine import watching
from bench.page import command_line, publish
from bench.pool_rules import HYPERQUEUE_IDLE, PARSL_IDLE_SECONDS, hyperqueue, parsl
from bench.pool_simulation import Burst, Engine, PoolSimulation, Rule
from bench.table import Bar, Section, Table, number
from orchestra.domain.models.pools import PoolLimits
from orchestra.domain.pools.decision import decide

SLOTS, SEEDS, MOST = 4, 5, 100
_WORTH = (
    "Jobs that take at least `--min-work` get a slot each; of shorter ones a new pilot gets at least so many seconds "
    "of work, for all its slots. Jobs that nobody has measured get one pilot, and more if that waits long."
)
_PRICE = "A longer `--min-work` costs time and saves pilot-hours."
NOTES = (_WORTH, _PRICE)
LONG_ENOUGH = 30 * 86400.0
LIMITS = PoolLimits(max_pilots=MOST)
OURS = "Orchestra"
RULES: dict[str, tuple[Rule, PoolLimits]] = {
    OURS: (decide, LIMITS),
    "Orchestra, min-work 10 min": (decide, replace(LIMITS, min_work=600.0)),
    "HyperQueue's rule": (hyperqueue, replace(LIMITS, idle=HYPERQUEUE_IDLE)),
    "Parsl's rule": (parsl, replace(LIMITS, idle=PARSL_IDLE_SECONDS)),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """Tasks, and the batch system that they meet."""

    name: str
    bursts: tuple[Burst, ...]
    engine: Engine


@dataclass(frozen=True, slots=True)
class Figures:
    """What a rule made of a scenario: minutes, pilots, hours, and the part of their slots' time that ran jobs."""

    makespan: float
    most: float
    submitted: float
    unused: float
    hours: float
    busy: float


SCENARIOS = (
    Scenario(
        "2,000 jobs of 10 s", (Burst(2000, 10, spread=0.3, test_jobs=10),), Engine(wait=(30, 90))
    ),
    Scenario(
        "12 bursts of 300 jobs of 60 s, one every 15 min",
        tuple(Burst(300, 60, at=900.0 * n, spread=0.3, test_jobs=10) for n in range(12)),
        Engine(wait=(30, 90)),
    ),
    Scenario(
        "24 bursts of 200 jobs of 1 s, one every 10 min",
        tuple(Burst(200, 1, at=600.0 * n, spread=0.3, test_jobs=10) for n in range(24)),
        Engine(wait=(30, 90)),
    ),
    Scenario(
        "1,000 jobs of 5 min, 20 min in the queue, 4 h walltime",
        (Burst(1000, 300, spread=0.3, test_jobs=10),),
        Engine(wait=(600, 1800), walltime=4 * 3600.0),
    ),
    Scenario(
        "500 jobs of 1 min, 4 machines, each new one waits 1 h",
        (Burst(500, 60, spread=0.3, test_jobs=10),),
        Engine(wait=(3000, 4200), machines=4),
    ),
)


def figures(scenario: Scenario, rule: Rule, limits: PoolLimits, seed: int) -> Figures:
    """Run a scenario once."""
    simulation = PoolSimulation(
        scenario.bursts, scenario.engine, limits, rule, slots=SLOTS, seed=seed
    )
    for _ in simulation.run(LONG_ENOUGH):
        pass
    outcome = simulation.outcome
    assert not outcome.left, "jobs have not ended"
    hours = outcome.held / SLOTS / 3600
    busy = outcome.busy / outcome.held
    made = (outcome.most, outcome.submitted, outcome.unused)
    return Figures(outcome.makespan / 60, *made, hours, busy)


def mean(several: Sequence[Figures]) -> Figures:
    """Return the means of figures over seeds."""
    return Figures(
        *(
            statistics.fmean(getattr(each, named.name) for each in several)
            for named in fields(Figures)
        )
    )


def _row(name: str, found: Figures) -> Sequence[str]:
    return (
        name,
        number(found.makespan),
        number(found.most),
        number(found.submitted),
        number(found.unused),
        number(found.hours),
        f"{100 * found.busy:.0f} %",
    )


def section(found: Mapping[str, Mapping[str, Figures]]) -> Section:
    """Return the results, by scenario and rule."""
    intro = (
        f"Time is simulated, means of {SEEDS} seeds; a pilot has {SLOTS} slots, at most {MOST} may exist, and at most "
        f"{LIMITS.max_pending} wait in the queue (HyperQueue's `--backlog`; Parsl has no such limit). What is "
        "submitted and withdrawn is decided by the functions of the scheduler itself, and by the rules of HyperQueue "
        "and Parsl as their sources have them, with their own idle times. Ten jobs of each task are its test. The "
        "tables have the minutes until the last job ended, pilots at once, submissions, pilots that ran no job, "
        "pilot-hours, and the part of their slots' time in which jobs ran."
    )
    head = ("makespan", "most pilots", "submissions", "unused", "pilot-hours", "busy")
    tables: list[Table] = [
        ((scenario, *head), [_row(rule, each) for rule, each in rules.items()])
        for scenario, rules in found.items()
    ]
    bars = {
        f"pilot-hours: {scenario}": [
            Bar(rule, each.hours, ours=rule.startswith(OURS)) for rule, each in rules.items()
        ]
        for scenario, rules in found.items()
    }
    return Section(
        "pools-simulated", "How many pilots for the same jobs", intro, tables, NOTES, bars
    )


def main() -> int:
    args = command_line(__doc__).parse_args()
    found: dict[str, dict[str, Figures]] = {}
    with watching() as watch:
        for scenario in SCENARIOS:
            found[scenario.name] = {
                name: mean([figures(scenario, rule, limits, seed) for seed in range(SEEDS)])
                for name, (rule, limits) in RULES.items()
            }
            print(f"  {scenario.name}: {found[scenario.name]}", file=sys.stderr)
    publish(section(found), watch, args.docs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
