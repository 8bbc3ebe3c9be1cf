"""Runs ordeals one after the other: `python -m ordeal.run [--seconds 300] [--seed N] [--round 40] [--pools]`."""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from time import monotonic

from ordeal import pool_plan
from ordeal.pool_trial import PoolOrdeal
from ordeal.schedule import ROUND, Schedule, plan
from ordeal.seeds import KEPT, MISHAPS
from ordeal.trial import Ordeal


def main() -> int:
    options = _options()
    ends = monotonic() + options.seconds
    if options.pools:
        return _hold_pools(options, ends)
    if options.seed is not None:
        return _hold(options, options.seed, options.round, options.restore, options.mishaps)
    for seed, seconds, restore in KEPT if options.mishaps is None else ():
        if monotonic() < ends and _hold(options, seed, seconds, restore):
            return 1
    while monotonic() < ends:
        seed = random.randrange(1, 1_000_000)
        lies = MISHAPS if options.mishaps is None and seed % 4 == 0 else options.mishaps
        if _hold(options, seed, options.round, options.restore, lies):
            return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="start rounds for so many seconds"
    )
    parser.add_argument(
        "--seed",
        type=int,
        help="of one round; by default those of known failures, then random ones",
    )
    parser.add_argument("--round", type=float, default=ROUND, help="seconds with faults in a round")
    parser.add_argument("--calm", action="store_true", help="inject no faults")
    parser.add_argument(
        "--restore",
        action=argparse.BooleanOptionalAction,
        help="whether an old database is restored in the middle; by default the seed decides",
    )
    parser.add_argument(
        "--mishaps",
        type=float,
        help="faults of the network per second (cut, garbled, repeated, silent), and no others",
    )
    parser.add_argument(
        "--pools",
        action="store_true",
        help="of pools on a real Slurm, which this machine must have",
    )
    parser.add_argument("--quiet", action="store_true", help="do not show every step")
    return parser.parse_args()


def _hold(
    options: argparse.Namespace,
    seed: int,
    seconds: float,
    restore: bool | None,
    mishaps: float | None = None,
) -> int:
    schedule = plan(seed, seconds, calm=options.calm, restore=restore, mishaps=mishaps or 0.0)
    print(f"# {_again(schedule, restore)}", flush=True)
    verdict = Ordeal(schedule, loud=not options.quiet).run()
    print(verdict, flush=True)
    if verdict.violations:
        print(f"again: {_again(schedule, restore)}")
    return int(bool(verdict.violations))


def _hold_pools(options: argparse.Namespace, ends: float) -> int:
    seeds = itertools.repeat(0) if options.seed is None else iter([options.seed])
    for given in seeds:
        if not given and monotonic() > ends:
            break
        seed = given or random.randrange(1, 1_000_000)
        print(f"# make ordeal POOLS=yes SEED={seed} ROUND={options.round:g}", flush=True)
        verdict = PoolOrdeal(pool_plan.plan(seed, options.round), loud=not options.quiet).run()
        print(verdict, flush=True)
        if verdict.violations:
            return 1
    return 0


def _again(schedule: Schedule, restore: bool | None) -> str:
    words = f"make ordeal SEED={schedule.seed} ROUND={schedule.seconds:g}"
    if schedule.mishaps:
        words += f" MISHAPS={schedule.mishaps:g}"
    return words if restore is None else f"{words} RESTORE={'yes' if restore else 'no'}"


if __name__ == "__main__":
    sys.exit(main())
