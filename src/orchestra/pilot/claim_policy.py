"""How many jobs to ask for, and which of those that were granted to hand back. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestra.domain.models.work import AttemptKey, Claim, Place
from orchestra.domain.states import Queue
from orchestra.pilot import prefetch, slots
from orchestra.pilot.prefetch import Pace, Waiting
from orchestra.pilot.state import LocalAttempt, PilotState

AT_MOST = 64
"""Jobs in one claim."""
READY_AT_MOST = 16
READY_SECONDS = 0.1
"""So many seconds of work are made ready before there are slots for it."""


@dataclass(slots=True)
class ClaimPolicy:
    """What is known about each queue of the database.

    `exhausted` queues have no job for us: nothing is asked until work is announced, or it is time to look
    again. The next job of a `blocked` queue needs so many slots: nothing is asked before they are free. The line of a
    queue in `after` was not looked at to its end: the next claim goes on from there. `paces` are those of tasks;
    `latest` is the task that each queue gave last, and the slots of its jobs.
    """

    exhausted: set[Queue] = field(default_factory=set)
    blocked: dict[Queue, int] = field(default_factory=dict)
    after: dict[Queue, Place] = field(default_factory=dict)
    paces: dict[int, Pace] = field(default_factory=dict)
    latest: dict[Queue, tuple[int, int]] = field(default_factory=dict)

    def refresh(self, *queues: Queue) -> None:
        """Say that there may be work again."""
        for queue in queues or Queue:
            self.exhausted.discard(queue)
            self.blocked.pop(queue, None)
            self.after.pop(queue, None)

    def learn(
        self, asked: Mapping[Queue, int], granted: Sequence[LocalAttempt], claim: Claim
    ) -> None:
        """Take in what a claim for so many slots gave: of each queue all that there was, or all that was asked for."""
        given, jobs = dict.fromkeys(asked, 0), Counter[Queue]()
        for attempt in granted:
            queue = attempt.note.queue
            jobs[queue] += 1
            given[queue] = given.get(queue, 0) + attempt.note.slots
            self.latest[queue] = attempt.key.task_id, attempt.note.slots
        for queue in asked:
            if self.after.pop(queue, None) is None:
                self.blocked.pop(queue, None)  # that was the whole line
        self.blocked.update(claim.held_back)
        self.after.update(claim.more)
        self.exhausted.update(
            queue
            for queue, slots in asked.items()
            if given[queue] < slots
            and jobs[queue] < AT_MOST
            and queue not in self.blocked
            and queue not in self.after
        )

    def measure(self, task: int, seconds: float) -> None:
        """Take in how long a job took."""
        self.paces[task] = prefetch.updated_pace(self.paces.get(task), seconds)

    def doubt(self, returned: Iterable[LocalAttempt], waiting: Iterable[LocalAttempt]) -> None:
        """Take in that jobs went back and others were kept: not that the same are claimed again before others can."""
        kept = Counter(attempt.key.task_id for attempt in waiting)
        for task in {attempt.key.task_id for attempt in returned} & self.paces.keys():
            self.paces[task] = prefetch.capped_pace(self.paces[task], kept[task])

    def forget(self, needed: Container[int]) -> None:
        """Forget the paces of all other tasks."""
        self.paces = {task: pace for task, pace in self.paces.items() if task in needed}

    def is_quick(self, task: int) -> bool:
        """Whether jobs of a task are claimed ahead."""
        pace = self.paces.get(task)
        return pace is not None and pace.is_quick

    def prefetch_slots(self, queue: Queue, quick: int) -> int:
        """Give for how many slots to have jobs waiting, so that quick ones follow each other without a pause.

        `quick` are the slots that no job has had for long.
        """
        task, width = self.latest.get(queue, (None, 1))
        return (
            0
            if task is None
            else width * prefetch.prefetch_count(self.paces.get(task), quick, width)
        )


def to_prepare(
    state: PilotState, appetite: ClaimPolicy, under_way: Container[AttemptKey]
) -> list[LocalAttempt]:
    """Give waiting attempts of a quick task that are to be made ready before there are slots for them, some at a time.

    Of the cpu queue alone: what a GPU job is given is known only when devices come free.
    """
    waiting = state.waiting(Queue.CPU)
    if not waiting or not appetite.is_quick(task := waiting[0].key.task_id):
        return []
    slots_ahead = slots.offered(state, Queue.CPU) * READY_SECONDS / appetite.paces[task].cost
    first = waiting[: min(READY_AT_MOST, max(1, round(slots_ahead)))]
    missing = [
        attempt for attempt in first if attempt.ready is None and attempt.key not in under_way
    ]
    return missing if len(missing) * 2 >= len(first) else []


def wanted(state: PilotState, appetite: ClaimPolicy, now: float = 0.0) -> dict[Queue, int]:
    """Give for how many slots of each queue to ask for jobs now; empty if for none. `now` is by CLOCK_BOOTTIME."""
    if state.draining:
        return {}
    counts = {queue: _wanted(state, appetite, queue, now) for queue in Queue}
    return {queue: count for queue, count in counts.items() if count > 0}


def _wanted(state: PilotState, appetite: ClaimPolicy, queue: Queue, now: float) -> int:
    offered = slots.offered(state, queue)
    if queue in appetite.exhausted or offered == 0:
        return 0
    waiting = sum(attempt.note.slots for attempt in state.waiting(queue))
    to_fill = slots.free(state, queue) - waiting
    is_blocked = queue in appetite.blocked and queue not in appetite.after
    if is_blocked and to_fill < appetite.blocked[queue]:
        return 0
    prefetch_slots = appetite.prefetch_slots(queue, _quick(state, queue, now))
    # The stock is filled again when half of it is used up, or every end of a job would be a claim.
    more = min(AT_MOST, prefetch_slots - waiting) if waiting * 2 <= prefetch_slots else 0
    return max(to_fill, more)


def excess(state: PilotState, appetite: ClaimPolicy, now: float) -> list[LocalAttempt]:
    """Give what is held ahead and is to go back: others may have room for it.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    extra: list[LocalAttempt] = []
    for queue in Queue:
        if waiting := state.waiting(queue):
            line = [Waiting(h.key.task_id, h.note.slots, now - (h.granted or now)) for h in waiting]
            free, quick = slots.free(state, queue), _quick(state, queue, now)
            extra += [waiting[n] for n in prefetch.to_release(line, free, quick, appetite.paces)]
    return extra


def _quick(state: PilotState, queue: Queue, now: float) -> int:
    """Count the slots that are free, or whose attempts have not been there for long."""
    late = sum(
        attempt.note.slots
        for attempt in state.with_slots()
        if attempt.note.queue is queue and attempt.is_slow(now)
    )
    return max(0, slots.offered(state, queue) - late)
