"""The order in which tasks are served: fair share between users, then priority. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class Contender:
    """A task to be ranked.

    `ready` counts the jobs that a pilot may claim, which are those of its test if it is `testing`; `rank` is its
    current rank.
    """

    task: int
    queue: Queue
    owner: int
    priority: int
    first_in_line: bool
    ready: int
    testing: bool = False
    rank: int | None = None

    @property
    def place_within_share(self) -> tuple[int, bool, bool, int]:
        """What orders the tasks of one user; the lowest goes first."""
        return -self.priority, not self.testing, not self.first_in_line, self.task


def in_order(contenders: Iterable[Contender], scores: Mapping[int, float]) -> list[Contender]:
    """Return the tasks with ready jobs, those served first at the front.

    Between users, the lowest of the `scores` goes first (`fair_share.Share.score`; 0 for who has none), then whose task
    is older. Then a user's tasks follow each other: higher priority, then the tests of new tasks, then retried tasks,
    then older ones. Tasks of one user do not compete by use: the first one keeps its slots.
    """
    ready = [contender for contender in contenders if contender.ready > 0]
    oldest: dict[int, int] = {}
    for each in ready:
        oldest[each.owner] = min(each.task, oldest.get(each.owner, each.task))
    users = {owner: (round(scores.get(owner, 0.0), 6), task) for owner, task in oldest.items()}
    return sorted(ready, key=lambda each: (users[each.owner], each.place_within_share))


def rank(contenders: Iterable[Contender], scores: Mapping[int, float]) -> dict[int, int]:
    """Return the rank of each task with ready jobs within its queue, as in `in_order`; the lowest is served first.

    Ranks change as little as possible: a task that ends changes no other rank.
    """
    lines: dict[Queue, list[Contender]] = {}
    for contender in in_order(contenders, scores):
        lines.setdefault(contender.queue, []).append(contender)
    return {task: rank for each in lines.values() for task, rank in _ranks(each).items()}


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
