"""In which order tasks are served. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class Contender:
    """A task as the order sees it. `in_use` counts the slots of its living jobs.

    `ready` counts the jobs that a pilot may claim; `rank` is the one that it has.
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
    """Give each task with ready jobs its rank within its queue, the lowest for the best.

    A higher priority goes first; then the owner who uses fewer slots of the queue; then what is retried; then what is
    older. Tasks of one owner do not compete by use: the first one keeps its slots. Most tasks keep the rank that they
    have: a task that is over moves nobody.
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
    """Give ranks that rise along the line: those that its tasks have, as far as the others find room between them."""
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
    """Give as many of the line's tasks as possible whose ranks rise already (a longest increasing subsequence)."""
    ranked = [(c.task, c.rank) for c in line if c.rank is not None]
    ends: list[int] = []  # the lowest rank in which a run of this length may end, and who has it
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
