"""The time to order tasks and to plan which nodes wait for jobs that fit on none.

    python -m bench.order --tasks 1000 --nodes 1000

Processor time of the pure functions, as the conductor calls them: without the database.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from bench.machine import watching
from bench.page import command_line, publish
from bench.table import Section, median, number, verdict
from orchestra.domain.node_timeline import Host, Running
from orchestra.domain.ranking import Contender, rank
from orchestra.domain.reservation_plan import Waiting, plan
from orchestra.domain.resources import DeviceRoom, Request, Room
from orchestra.domain.states import Queue

AT_MOST = 100.0
"""Milliseconds."""
KINDS = (8, 100)
SLOTS, USERS, GB = 16, 50, 10**9

T = TypeVar("T")


def measure(tasks: int, nodes: int, kinds: int, rounds: int) -> dict[str, float]:
    """Return milliseconds for ranks, a first plan, and the next one. Half of the tasks fit on no node now.

    `kinds`: how many different requests those tasks have.
    """
    chance = random.Random(1)
    small = [Request(cpus=1, memory_bytes=n * GB) for n in (1, 2, 3)]
    wide = [
        Request(cpus=chance.randint(8, SLOTS), memory_bytes=chance.randint(8, 64) * GB)
        for _ in range(kinds)
    ]
    room = Room(SLOTS, (DeviceRoom(),) * 2, 64 * GB)
    hosts = [
        Host(n, room, [Running(chance.choice(small), chance.random() * 1000) for _ in range(SLOTS)])
        for n in range(nodes)
    ]
    everywhere = frozenset(range(nodes))
    waiting = [
        Waiting(n, wide[n % kinds] if n % 2 else chance.choice(small), 10, everywhere)
        for n in range(tasks)
    ]
    scores = {user: chance.random() for user in range(USERS)}
    contenders = [
        Contender(n, Queue.CPU, chance.randrange(USERS), 0, first_in_line=False, ready=9, rank=n)
        for n in range(tasks)
    ]
    found: dict[str, list[float]] = {"ranks": [], "first": [], "next": []}
    for _ in range(rounds):
        _timed(found["ranks"], lambda: rank(contenders, scores))
        held = _timed(found["first"], lambda: plan(waiting, hosts))
        _timed(found["next"], lambda held=held: plan(waiting, hosts, held))  # type: ignore[misc]
    return {name: median(values) for name, values in found.items()}


def _timed(times: list[float], call: Callable[[], T]) -> T:
    began = time.process_time()
    result = call()
    times.append((time.process_time() - began) * 1000)
    return result


def section(tasks: int, nodes: int, found: dict[int, dict[str, float]]) -> Section:
    """Return the figures as a section."""
    rows: list[tuple[Any, ...]] = []
    for kinds, times in found.items():
        total = times["ranks"] + times["next"]
        bound = (
            f"at most {AT_MOST:.0f}: {verdict(total, AT_MOST, at_least=False)}"
            if kinds == KINDS[0]
            else ""
        )
        rows.append((f"{kinds}", *(number(times[name]) for name in times), number(total), bound))
    head = (
        "different requests",
        "ranks, ms",
        "first plan, ms",
        "next plan, ms",
        "ranks and next plan, ms",
        "bound",
    )
    intro = (
        f"{tasks:,} tasks of {USERS} users are ordered, and it is planned which of {nodes:,} nodes with "
        f"{nodes * SLOTS:,} running jobs wait for the next jobs of those that fit on none, half of "
        "the tasks. Processor time of one core, without the database."
    )
    notes = ["The conductor plans once a second at most, and spends at most 5 % of its time on it."]
    return Section("order", "Order and reservations", intro, [(head, rows)], notes)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with watching() as watch:
        found = {kinds: measure(args.tasks, args.nodes, kinds, args.rounds) for kinds in KINDS}
    publish(section(args.tasks, args.nodes, found), watch, args.docs)


if __name__ == "__main__":
    main()
