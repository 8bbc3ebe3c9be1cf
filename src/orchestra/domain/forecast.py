"""Which jobs will start before a waiting job, and when it starts at the present rate. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestra.domain.matchmaking import Need, NodeOffer, eligible


@dataclass(frozen=True, slots=True)
class Competitor:
    """A live task of the same queue, with what decides its rank (`ranking.py`).

    Args:
        living: its jobs that use slots. Held tasks can have some, too.
        waiting: its jobs that a pilot may claim now.
        need: the requirements of each of its jobs.
    """

    task: int
    owner: str
    need: Need
    priority: int = 0
    first_in_line: bool = False
    living: int = 0
    waiting: int = 0

    @property
    def place_of_equals(self) -> tuple[bool, int]:
        """The tie-breaker between tasks of equal priority whose owners use the same number of slots."""
        return not self.first_in_line, self.task


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
    own: Competitor, before: int, competitors: Sequence[Competitor], offers: Sequence[NodeOffer]
) -> list[JobsAhead]:
    """Return whose jobs will start before a job of `own` that has `before` jobs of its task ahead of it.

    Priority decides first, then who uses fewer slots: users catch up with one another, then take turns. Tasks that no
    eligible node can run do not count. `competitors` may include `own`.
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
    mine = [
        _of_owner(own, before, competitor) for competitor in fit if competitor.owner == own.owner
    ]
    found = [each for each in mine if each.jobs]
    in_line = sum(each.jobs for each in found)
    for owner in sorted({competitor.owner for competitor in fit} - {own.owner}):
        tasks = [competitor for competitor in fit if competitor.owner == owner]
        found += _of_another(own, _use(own.owner, fit), in_line, tasks)
    return sorted(
        found, key=lambda each: (each.owner == own.owner, each.task == own.task, -each.jobs)
    )


def _use(owner: str, competitors: Sequence[Competitor]) -> int:
    return sum(competitor.living for competitor in competitors if competitor.owner == owner)


def _of_owner(own: Competitor, before: int, competitor: Competitor) -> JobsAhead:
    if competitor.task == own.task:
        return JobsAhead(own.owner, before, before * own.need.slots, own.task)
    order = (-competitor.priority, competitor.place_of_equals) < (
        -own.priority,
        own.place_of_equals,
    )
    jobs = competitor.waiting if order else 0
    return JobsAhead(own.owner, jobs, jobs * competitor.need.slots, competitor.task)


def _of_another(
    own: Competitor, use: int, in_line: int, tasks: Sequence[Competitor]
) -> Iterator[JobsAhead]:
    """Yield another owner's jobs that go first. `use`: the own slots now; `in_line`: the own jobs before its turn."""
    higher = [task for task in tasks if task.priority > own.priority]
    if jobs := sum(task.waiting for task in higher):
        yield JobsAhead(tasks[0].owner, jobs, _slots(higher, jobs), why="higher priority")
    equal = [task for task in tasks if task.priority == own.priority and task.waiting]
    if not equal:
        return
    theirs = sum(task.living for task in tasks) + jobs
    wins_ties = min(task.place_of_equals for task in equal) < own.place_of_equals
    turns = use + in_line - theirs + (1 if wins_ties else 0)
    jobs = min(max(0, turns), sum(task.waiting for task in equal))
    if jobs:
        why = "fewer slots in use" if theirs < use else "taking turns"
        yield JobsAhead(tasks[0].owner, jobs, _slots(equal, jobs), why=why)


def _slots(tasks: Sequence[Competitor], jobs: int) -> int:
    """Return the slots that so many jobs take, in the order of tasks."""
    slots = 0
    for task in sorted(tasks, key=lambda each: (-each.priority, each.place_of_equals)):
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
