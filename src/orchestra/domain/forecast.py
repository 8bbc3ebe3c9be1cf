"""Which jobs will start before a waiting job, and when it starts at the present rate. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from orchestra.domain.fair_share import Share
from orchestra.domain.matchmaking import Need, NodeOffer, eligible


@dataclass(frozen=True, slots=True)
class Competitor:
    """A live task of the same queue, with what decides its rank (`ranking.py`).

    Args:
        living: its jobs that use slots. Held tasks can have some, too.
        waiting: its jobs that a pilot may claim now, which are those of its test if it is `testing`.
        need: the requirements of each of its jobs.
        cost: of each of its jobs, in CPU slots (`fair_share.Rates`).
    """

    task: int
    owner: str
    need: Need
    priority: int = 0
    first_in_line: bool = False
    living: int = 0
    waiting: int = 0
    testing: bool = False
    cost: float = 1.0

    @property
    def place_within_share(self) -> tuple[int, bool, bool, int]:
        """What orders the tasks of one owner; the lowest goes first."""
        return -self.priority, not self.testing, not self.first_in_line, self.task


@dataclass(frozen=True, slots=True)
class JobsAhead:
    """Jobs of one owner, or of one task if given, that will start first. `why` is None within a task."""

    owner: str
    jobs: int
    slots: int
    task: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class RunningJobs:
    """Running jobs of one task on one node: the slots of each, and the typical duration of one, if known."""

    node: str
    task: int
    jobs: int
    slots: int
    typical_seconds: float | None = None


def ahead(
    own: Competitor,
    before: int,
    competitors: Sequence[Competitor],
    offers: Sequence[NodeOffer],
    shares: Mapping[str, Share],
) -> list[JobsAhead]:
    """Return whose jobs will start before a job of `own` that has `before` jobs of its task ahead of it.

    Who has used less for their shares goes first: users catch up with one another, then take turns. Tasks that no
    eligible node can run do not count. `competitors` may include `own`. `shares` are those of the owners.
    """
    fit = [
        competitor
        for competitor in competitors
        if competitor.task == own.task
        or any(
            offer.serves(competitor.need.account, competitor.need.image)
            for offer in eligible(own.need, offers)
        )
    ]
    costs = {competitor.task: competitor.cost for competitor in fit} | {own.task: own.cost}
    mine = [each for each in fit if each.owner == own.owner]
    found = [each for each in (_of_owner(own, before, c) for c in mine) if each.jobs]
    line = sum(each.jobs * costs[each.task] for each in found if each.task is not None)
    share = _share(own.owner, fit, shares)
    turn = _Turn(share, share.score + line / share.shares, min(c.task for c in (own, *mine)))
    for owner in sorted({competitor.owner for competitor in fit} - {own.owner}):
        tasks = [competitor for competitor in fit if competitor.owner == owner]
        found += _of_another(turn, _share(owner, fit, shares), tasks)
    return sorted(
        found, key=lambda each: (each.owner == own.owner, each.task == own.task, -each.jobs)
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    """The share of a user now, the score at which it is a job's turn, and the user's oldest task."""

    share: Share
    score: float
    oldest: int


def _share(owner: str, competitors: Sequence[Competitor], shares: Mapping[str, Share]) -> Share:
    """The owner's share; without any, by the jobs that use slots of this queue."""
    in_use = sum(each.living * each.cost for each in competitors if each.owner == owner)
    return shares.get(owner) or Share(in_use)


def _of_owner(own: Competitor, before: int, competitor: Competitor) -> JobsAhead:
    if competitor.task == own.task:
        return JobsAhead(own.owner, before, before * own.need.slots, own.task)
    is_first = competitor.place_within_share < own.place_within_share
    jobs = competitor.waiting if is_first else 0
    return JobsAhead(own.owner, jobs, jobs * competitor.need.slots, competitor.task)


def _of_another(turn: _Turn, share: Share, tasks: Sequence[Competitor]) -> Iterator[JobsAhead]:
    """Yield another owner's jobs that go first: those that start while their owner's score is below the turn's."""
    waiting = sorted(
        (task for task in tasks if task.waiting), key=lambda task: task.place_within_share
    )
    if not waiting:
        return
    wins_ties = min(task.task for task in waiting) < turn.oldest
    left, jobs = (turn.score - share.score) * share.shares, 0
    for task in waiting:
        turns = round(left / task.cost, 6)
        most = floor(turns) + 1 if wins_ties else ceil(turns)
        taken = min(max(0, most), task.waiting)
        jobs, left = jobs + taken, left - taken * task.cost
        if taken < task.waiting:
            break
    if jobs:
        why = "has used less" if share.score < turn.share.score else "taking turns"
        yield JobsAhead(tasks[0].owner, jobs, _slots(waiting, jobs), why=why)


def _slots(tasks: Sequence[Competitor], jobs: int) -> int:
    """Return the slots that so many jobs take, in the order of tasks."""
    slots = 0
    for task in sorted(tasks, key=lambda each: each.place_within_share):
        part = min(jobs, task.waiting)
        slots, jobs = slots + part * task.need.slots, jobs - part
    return slots


def place_free_in(
    limit: int, living: int, before: int, typical_seconds: float | None
) -> float | None:
    """Return the seconds until a task whose jobs are limited has a place for one; None if unknown.

    Args:
        living: the jobs of the task that use slots.
        before: its jobs that go first.
        typical_seconds: the typical duration of one.
    """
    must_end = living + before + 1 - limit
    if must_end <= 0:
        return 0.0
    return None if typical_seconds is None else typical_seconds * must_end / limit


def starts_in(
    need: Need, line: Sequence[JobsAhead], offers: Sequence[NodeOffer], busy: Sequence[RunningJobs]
) -> float | None:
    """Return the seconds until a job starts if slots become free at the present rate; 0 if one is free for it.

    None if unknown: no eligible node runs anything, or a running task has no typical duration yet.
    """
    there = {offer.node: offer for offer in eligible(need, offers)}
    free = [offer.free for offer in there.values()]
    missing = sum(each.slots for each in line) + need.slots - sum(free)
    missing = max(missing, need.slots - max(free, default=0))  # all on one node
    if missing <= 0:
        return 0.0
    running = [work for work in busy if work.node in there]
    if not running or any(not work.typical_seconds for work in running):
        return None
    per_second = sum(work.jobs * work.slots / (work.typical_seconds or 1.0) for work in running)
    return missing / per_second
