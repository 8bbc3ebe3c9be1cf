"""How many jobs to claim, and which granted jobs to release. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace

from orchestra.domain.models.work import AttemptKey, Claim, Place
from orchestra.domain.resources import DeviceRoom, Request, Room
from orchestra.domain.states import Queue
from orchestra.pilot import allocator, prefetch
from orchestra.pilot.prefetch import Pace, Waiting
from orchestra.pilot.state import LocalAttempt, PilotState

MAX_CLAIM = 64
"""Jobs in one claim."""
MAX_PREPARED = 16
PREPARED_SECONDS = 0.1
"""Seconds of work that is prepared before there are slots for it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What to claim: jobs of these queues that fit into a room together."""

    queues: tuple[Queue, ...]
    room: Room


@dataclass(slots=True)
class ClaimPolicy:
    """What is known about the queues of the database.

    Args:
        exhausted: queues without jobs for this node. Nothing is claimed from them until work is announced, or the next
            poll is due.
        blocked: queues whose jobs all need more than was left. Nothing is claimed from them until one of these fits.
        cursors: queues that the last claim has not searched to the end; the next claim continues from there.
        paces: by task.
        latest: the task that each queue granted last, and what its jobs take.
    """

    exhausted: set[Queue] = field(default_factory=set)
    blocked: dict[Queue, tuple[Request, ...]] = field(default_factory=dict)
    cursors: dict[Queue, Place] = field(default_factory=dict)
    paces: dict[int, Pace] = field(default_factory=dict)
    latest: dict[Queue, tuple[int, Request]] = field(default_factory=dict)

    def reset(self, *queues: Queue) -> None:
        """Note that there may be work again in these queues; in all, if none is named."""
        for queue in queues or Queue:
            self.exhausted.discard(queue)
            self.blocked.pop(queue, None)
            self.cursors.pop(queue, None)

    def record_claim(self, asked: Asked, granted: Sequence[LocalAttempt], claim: Claim) -> None:
        """Learn from a claim: each queue granted what fitted, or all the jobs that it had."""
        jobs = Counter[Queue]()
        for attempt in granted:
            queue = attempt.note.queue
            jobs[queue] += 1
            self.latest[queue] = attempt.key.task_id, attempt.note.request
        left = allocator.beside(asked.room, granted)
        for queue in asked.queues:
            if self.cursors.pop(queue, None) is None:
                self.blocked.pop(queue, None)  # the claim has searched from the beginning
            # What would fit, and was not granted, is kept from this node by something else than room.
            needs = [Request.of(queue, each) for each in claim.held_back.get(queue, ())]
            if blocked := tuple(each for each in needs if not left.fits(each)):
                self.blocked[queue] = tuple({*self.blocked.get(queue, ()), *blocked})
        self.cursors.update(claim.more)
        self.exhausted.update(
            queue
            for queue in asked.queues
            if allocator.has_any(left, queue)
            and jobs[queue] < MAX_CLAIM
            and queue not in self.blocked
            and queue not in self.cursors
        )

    def is_blocked(self, queue: Queue, left: Room) -> bool:
        """Whether no job of a queue is known that would fit into what is left."""
        if queue not in self.blocked or queue in self.cursors:
            return False
        return not any(left.fits(each) for each in self.blocked[queue])

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

    def prefetch_count(self, queue: Queue, quick: Room) -> int:
        """Return how many jobs should be waiting, so that quick ones follow one another without a pause.

        `quick` is the room that no job has had for long.
        """
        if queue not in self.latest:
            return 0
        task, request = self.latest[queue]
        pace = self.paces.get(task)
        return prefetch.prefetch_count(pace, quick.count(request)) if pace else 0


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


def to_claim(state: PilotState, policy: ClaimPolicy, now: float = 0.0) -> Asked | None:
    """Return what to claim now, None for nothing.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    if state.draining:
        return None
    offered = allocator.offered(state)
    queues = [
        q for q in state.queues if allocator.has_any(offered, q) and q not in policy.exhausted
    ]
    if not queues:
        return None
    busy, waiting = state.with_slots(), state.waiting()
    left = allocator.beside(allocator.left_by(state, busy), waiting)
    queues = [queue for queue in queues if not policy.is_blocked(queue, left)]
    to_fill = [queue for queue in queues if allocator.has_any(left, queue)]
    if len(to_fill) > 1:
        # Room for jobs that start later is asked for one queue alone: jobs of the other would take it, and not start.
        return Asked(tuple(to_fill), left)
    for queue in to_fill or queues:
        there = sum([attempt.note.queue is queue for attempt in waiting])
        if more := _to_prefetch(policy, queue, there, _quick_room(state, busy, now)):
            return Asked((queue,), _with_more(left, policy.latest[queue][1], more, offered))
        if to_fill:
            return Asked((queue,), left)
    return None


def _to_prefetch(policy: ClaimPolicy, queue: Queue, waiting: int, quick: Room) -> int:
    """Return how many jobs of the latest task to claim, those that start at once among them."""
    ahead = policy.prefetch_count(queue, quick)
    # Refilled only when half is used up, or every end of a job would cause a claim.
    return min(MAX_CLAIM, ahead - waiting) if waiting * 2 <= ahead else 0


def _with_more(left: Room, request: Request, jobs: int, offered: Room) -> Room:
    """Return a room that so many jobs fit into, one after another as others end."""
    memory, scratch = left.memory_bytes, left.scratch_bytes
    return replace(
        left,
        cpus=max(left.cpus, jobs * request.cpus),
        devices=_with_more_devices(left.devices, request, jobs, offered.devices),
        memory_bytes=memory if memory is None else max(memory, jobs * request.memory_bytes),
        scratch_bytes=scratch if scratch is None else max(scratch, jobs * request.scratch_bytes),
    )


def _with_more_devices(
    left: tuple[DeviceRoom, ...], request: Request, jobs: int, offered: Sequence[DeviceRoom]
) -> tuple[DeviceRoom, ...]:
    if not (request.gpus or request.gpu_milli):
        return left
    wanted = Request(gpus=request.gpus, gpu_milli=request.gpu_milli, vram_bytes=request.vram_bytes)
    able = [device for device in offered if device.is_enough(wanted)]
    while able and Room(devices=left).count(wanted) < jobs:
        left = (*left, able[len(left) % len(able)])
    return left


def excess(state: PilotState, policy: ClaimPolicy, now: float) -> list[LocalAttempt]:
    """Return prefetched attempts to release, because others may have room for them.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    waiting = state.waiting()
    if not waiting:
        return []
    starting = {id(attempt) for attempt, _ in allocator.startable(state)}
    quick = _quick_room(state, state.with_slots(), now)
    released: list[LocalAttempt] = []
    for queue in Queue:
        later = [a for a in waiting if a.note.queue is queue and id(a) not in starting]
        requests = {id(attempt.note.request): attempt.note.request for attempt in later}
        together = {of: quick.count(request) for of, request in requests.items()}
        jobs = [
            Waiting(a.key.task_id, together[id(a.note.request)], now - (a.granted_at or now))
            for a in later
        ]
        released += [later[index] for index in prefetch.to_release(jobs, policy.paces)]
    return released


def _quick_room(state: PilotState, busy: Sequence[LocalAttempt], now: float) -> Room:
    """Return the room that is free, or whose attempts have not had it for long."""
    slow = [attempt for attempt in busy if attempt.is_slow(now)]
    return allocator.left_by(state, slow)
