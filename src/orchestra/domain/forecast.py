"""Which jobs will start before a job that waits, and when it starts at the present rate. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestra.domain.matchmaking import Need, NodeOffer, eligible


@dataclass(frozen=True, slots=True)
class Competitor:
    """A live task of the queue, as the order of tasks (`order.py`) sees it.

    Args:
        living: its jobs that use slots. Held tasks have some, too.
        waiting: its jobs that a pilot may take without anything else happening first.
        need: what each of its jobs takes.
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
        """What decides between two tasks of the same priority whose owners use as many slots."""
        return not self.first_in_line, self.task


@dataclass(frozen=True, slots=True)
class JobsAhead:
    """Jobs of one owner, or of one task where it is named, that will start before. `why` is None within a task."""

    owner: str
    jobs: int
    slots: int
    task: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class RunningJobs:
    """Jobs of one task on one node: the slots of each, and the seconds that one takes, as far as that is known."""

    node: str
    task: int
    jobs: int
    slots: int
    typical_seconds: float | None = None


def ahead(
    own: Competitor, before: int, competitors: Sequence[Competitor], offers: Sequence[NodeOffer]
) -> list[JobsAhead]:
    """Give whose jobs will start before a job of `own` that has `before` jobs of its own task ahead of it.

    Priority decides first, then who uses fewer slots: people catch up with one another, then take turns. Rivals that no
    usable place could run do not count. `competitors` may hold `own` itself.
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
    """Give what of another owner goes first; `use` are the slots of one's own now, `in_line` those until its turn."""
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
    """Give the slots that so many jobs take, first task first."""
    slots = 0
    for task in sorted(tasks, key=lambda each: (-each.priority, each.place_of_equals)):
        part = min(jobs, task.waiting)
        slots, jobs = slots + part * task.need.slots, jobs - part
    return slots


def starts_in(
    need: Need, line: Sequence[JobsAhead], offers: Sequence[NodeOffer], busy: Sequence[RunningJobs]
) -> float | None:
    """Give the seconds until a job starts if slots go on coming free as they do now; 0 where one is free for it.

    None where nobody can say: nothing runs where it could, or of something that runs no job has ended yet.
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
