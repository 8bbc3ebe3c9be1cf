"""The order in which tasks are served: priority, then fair share. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class Contender:
    """A task to be ranked.

    `in_use` counts the slots of its living jobs, `ready` the jobs that a pilot may claim; `rank` is its current rank.
    """

    task: int
    queue: Queue
    owner: int
    priority: int
    first_in_line: bool
    in_use: int
    ready: int
    rank: int | None = None


def rank(contenders: Iterable[Contender]) -> dict[int, int]:
    """Return the rank of each task with ready jobs within its queue; the lowest is served first.

    Order: higher priority, then the owner who uses fewer slots of the queue, then retried tasks, then older ones. Tasks
    of one owner do not compete by use: the first one keeps its slots. Ranks change as little as possible: a task that
    ends changes no other rank.
    """
    everyone = list(contenders)
    use = _use(everyone)
    ready = [contender for contender in everyone if contender.ready > 0]
    ready.sort(key=lambda c: (-c.priority, use[c.queue, c.owner], not c.first_in_line, c.task))
    lines: dict[Queue, list[Contender]] = {}
    for contender in ready:
        lines.setdefault(contender.queue, []).append(contender)
    return {task: rank for line in lines.values() for task, rank in _ranks(line).items()}


def _ranks(line: Sequence[Contender]) -> dict[int, int]:
    """Return ranks that increase along the line; tasks keep their rank where the others fit between."""
    staying = _rising(line)
    ranks: dict[int, int] = {}
    coming: list[int] = []
    last: int | None = None
    for contender in line:
        if contender.task not in staying:
            coming.append(contender.task)
            continue
        own = staying[contender.task]
        if last is not None and own - last <= len(coming):
            return {c.task: place for place, c in enumerate(line)}
        ranks |= {task: own - len(coming) + n for n, task in enumerate(coming)}
        ranks[contender.task] = last = own
        coming = []
    first = 0 if last is None else last + 1
    return ranks | {task: first + n for n, task in enumerate(coming)}


def _rising(line: Sequence[Contender]) -> dict[int, int]:
    """Return as many tasks as possible whose ranks already increase (a longest increasing subsequence)."""
    ranked = [(c.task, c.rank) for c in line if c.rank is not None]
    ends: list[int] = []  # the lowest last rank of a run of each length, and its index
    holders: list[int] = []
    before: list[int | None] = []
    for place, (_, own) in enumerate(ranked):
        length = bisect_left(ends, own)
        before.append(holders[length - 1] if length else None)
        ends[length : length + 1] = [own]
        holders[length : length + 1] = [place]
    staying: dict[int, int] = {}
    at = holders[-1] if holders else None
    while at is not None:
        task, own = ranked[at]
        staying[task] = own
        at = before[at]
    return staying


def _use(contenders: Iterable[Contender]) -> Mapping[tuple[Queue, int], int]:
    use: dict[tuple[Queue, int], int] = {}
    for contender in contenders:
        key = contender.queue, contender.owner
        use[key] = use.get(key, 0) + contender.in_use
    return use
