"""How many jobs to claim, and which granted jobs to release. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import AttemptKey, Claim, Place
from orchestra.domain.resources import DeviceRoom, Request, Room, total
from orchestra.domain.states import Queue
from orchestra.pilot import allocator, prefetch
from orchestra.pilot.prefetch import Pace, Waiting
from orchestra.pilot.state import LocalAttempt, PilotState

MAX_CLAIM = 64
"""Jobs in one claim."""
MAX_PREPARED = 16
PREPARED_SECONDS = 0.1
"""Seconds of work that is prepared before there are slots for it."""


@dataclass(slots=True)
class ClaimPolicy:
    """What is known about the queues of the database.

    Args:
        exhausted: queues without jobs for this node. Nothing is claimed from them until work is announced, or the next
            poll is due.
        blocked: queues whose jobs need more than was left. Nothing is claimed from them until one of these would fit.
        cursors: queues that the last claim has not searched to the end; the next claim continues from there.
        paces: by task.
        latest: the task that each queue granted last, and the slots of its jobs.
    """

    exhausted: set[Queue] = field(default_factory=set)
    blocked: dict[Queue, tuple[Resources, ...]] = field(default_factory=dict)
    cursors: dict[Queue, Place] = field(default_factory=dict)
    paces: dict[int, Pace] = field(default_factory=dict)
    latest: dict[Queue, tuple[int, int]] = field(default_factory=dict)

    def reset(self, *queues: Queue) -> None:
        """Note that there may be work again in these queues; in all, if none is named."""
        for queue in queues or Queue:
            self.exhausted.discard(queue)
            self.blocked.pop(queue, None)
            self.cursors.pop(queue, None)

    def record_claim(
        self, requested: Mapping[Queue, int], granted: Sequence[LocalAttempt], claim: Claim
    ) -> None:
        """Learn from a claim for so many slots: each queue granted all of them, or all the jobs that it had."""
        slots_granted, jobs = dict.fromkeys(requested, 0), Counter[Queue]()
        for attempt in granted:
            queue = attempt.note.queue
            jobs[queue] += 1
            slots_granted[queue] = slots_granted.get(queue, 0) + attempt.note.slots
            self.latest[queue] = attempt.key.task_id, attempt.note.slots
        for queue in requested:
            if self.cursors.pop(queue, None) is None:
                self.blocked.pop(queue, None)  # the claim has searched from the beginning
        self.blocked.update(claim.held_back)
        self.cursors.update(claim.more)
        self.exhausted.update(
            queue
            for queue, slots in requested.items()
            if slots_granted[queue] < slots
            and jobs[queue] < MAX_CLAIM
            and queue not in self.blocked
            and queue not in self.cursors
        )

    def record_duration(self, task: int, seconds: float) -> None:
        """Learn how long a job took."""
        self.paces[task] = prefetch.updated_pace(self.paces.get(task), seconds)

    def record_release(
        self, released: Iterable[LocalAttempt], waiting: Iterable[LocalAttempt]
    ) -> None:
        """Learn that jobs were released and others kept, so that other pilots can claim them before this one does."""
        kept = Counter(attempt.key.task_id for attempt in waiting)
        for task in {attempt.key.task_id for attempt in released} & self.paces.keys():
            self.paces[task] = prefetch.capped_pace(self.paces[task], kept[task])

    def forget_others(self, needed: Container[int]) -> None:
        """Forget the paces of all tasks but these."""
        self.paces = {task: pace for task, pace in self.paces.items() if task in needed}

    def is_quick(self, task: int) -> bool:
        """Whether jobs of a task are prefetched."""
        pace = self.paces.get(task)
        return pace is not None and pace.is_quick

    def prefetch_slots(self, queue: Queue, quick: int) -> int:
        """Return for how many slots jobs should be waiting, so that quick ones follow one another without a pause.

        `quick` are the slots that no job has had for long.
        """
        task, width = self.latest.get(queue, (None, 1))
        if task is None:
            return 0
        return width * prefetch.prefetch_count(self.paces.get(task), quick, width)


def slots_offered(state: PilotState, queue: Queue) -> int:
    """Count the slots that jobs may use now."""
    room = allocator.offered(state)
    return room.cpus if queue is Queue.CPU else len(room.devices)


def slots_free(state: PilotState, queue: Queue) -> int:
    """Count the free slots; 0 while more are in use than are offered."""
    room = allocator.free(state)
    return max(0, room.cpus if queue is Queue.CPU else room.whole_gpus)


def to_prepare(
    state: PilotState, policy: ClaimPolicy, under_way: Container[AttemptKey]
) -> list[LocalAttempt]:
    """Return waiting attempts of a quick task to prepare before there are slots for them, some at a time.

    Only of the cpu queue: which devices a GPU job gets is known only when they become free.
    """
    waiting = state.waiting(Queue.CPU)
    if not waiting or not policy.is_quick(task := waiting[0].key.task_id):
        return []
    slots_ahead = state.enabled[Queue.CPU] * PREPARED_SECONDS / policy.paces[task].cost
    first = waiting[: min(MAX_PREPARED, max(1, round(slots_ahead)))]
    missing = [
        attempt for attempt in first if attempt.ready is None and attempt.key not in under_way
    ]
    return missing if len(missing) * 2 >= len(first) else []


def slots_to_request(state: PilotState, policy: ClaimPolicy, now: float = 0.0) -> dict[Queue, int]:
    """Return for how many slots of each queue to claim jobs now; queues with none are absent.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    if state.draining:
        return {}
    counts = {queue: _slots_to_request(state, policy, queue, now) for queue in Queue}
    return {queue: count for queue, count in counts.items() if count > 0}


def _slots_to_request(state: PilotState, policy: ClaimPolicy, queue: Queue, now: float) -> int:
    if queue in policy.exhausted or slots_offered(state, queue) == 0:
        return 0
    waiting = sum(attempt.note.slots for attempt in state.waiting(queue))
    to_fill = slots_free(state, queue) - waiting
    is_blocked = queue in policy.blocked and queue not in policy.cursors
    if is_blocked and not any(
        room_to_fill(state, {queue: to_fill}).fits(Request.of(queue, needs))
        for needs in policy.blocked[queue]
    ):
        return 0
    ahead = policy.prefetch_slots(queue, _quick_slots(state, queue, now))
    # Refilled only when half is used up, or every end of a job would cause a claim.
    more = min(MAX_CLAIM, ahead - waiting) if waiting * 2 <= ahead else 0
    return max(to_fill, more)


def room_to_fill(state: PilotState, requested: Mapping[Queue, int]) -> Room:
    """Return the room of so many slots. Jobs of the GPU queue may take the free CPU slots, too."""
    room = allocator.free(state)
    waiting = total(attempt.note.request for attempt in state.waiting())
    memory, scratch = room.memory_bytes, room.scratch_bytes
    return Room(
        cpus=requested.get(Queue.CPU, max(0, room.cpus - waiting.cpus)),
        devices=(DeviceRoom(),) * requested.get(Queue.GPU, 0),
        memory_bytes=None if memory is None else memory - waiting.memory_bytes,
        scratch_bytes=None if scratch is None else scratch - waiting.scratch_bytes,
        is_idle=not state.attempts,
    )


def excess(state: PilotState, policy: ClaimPolicy, now: float) -> list[LocalAttempt]:
    """Return prefetched attempts to release, because others may have room for them.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    released: list[LocalAttempt] = []
    for queue in Queue:
        if waiting := state.waiting(queue):
            jobs = [
                Waiting(a.key.task_id, a.note.slots, now - (a.granted_at or now)) for a in waiting
            ]
            free, quick = slots_free(state, queue), _quick_slots(state, queue, now)
            indexes = prefetch.to_release(jobs, free, quick, policy.paces)
            released += [waiting[index] for index in indexes]
    return released


def _quick_slots(state: PilotState, queue: Queue, now: float) -> int:
    """Count the slots that are free, or whose attempts have not had them for long."""
    slow = sum(
        attempt.note.slots
        for attempt in state.with_slots()
        if attempt.note.queue is queue and attempt.is_slow(now)
    )
    return max(0, slots_offered(state, queue) - slow)
