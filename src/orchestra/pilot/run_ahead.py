"""Which waiting attempts to queue at the keeper, behind those that run. Pure.

Where jobs take milliseconds, a slot would otherwise be idle while the keeper tells the agent that a job has ended and
the agent sends the next one. A running attempt and those queued behind it, in the same slots, are a lane.
"""

from __future__ import annotations

from math import inf

from orchestra.domain.states import Queue
from orchestra.pilot import allocator
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.state import LocalAttempt, Phase, PilotState

LANE_SECONDS = 0.1
"""Seconds of work in a lane at most: a queued attempt cannot use another slot that becomes free."""
MAX_LANE = 8
OF_LANES = frozenset({"cpus", "memory_bytes", "scratch_bytes", "exclusive"})
"""What attempts in lanes take."""
MAX_QUEUED = 256
"""Attempts queued in all lanes together: a keeper holds an open log for each, and may have 1,024 files open."""


def to_queue(
    state: PilotState, policy: ClaimPolicy, now: float
) -> list[tuple[LocalAttempt, LocalAttempt]]:
    """Return attempts to queue, in order, each with the one that it starts after.

    Only of the cpu queue: which devices a GPU job gets is known only when they become free. Never an attempt that
    `to_withdraw` would withdraw again, or it would be claimed, queued and released in an endless cycle.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    waiting = state.waiting(Queue.CPU)
    if not waiting or waiting[0].ready is None or state.draining:
        return []
    if allocator.is_overfull(state) or _gpu_job_waits(state):
        return []
    depth = _depth(policy, waiting[0].key.task_id)
    lanes = [
        _lane(attempt)
        for attempt in state.with_slots()
        if not attempt.is_slow(now) and _may_lead(attempt, waiting[0], policy)
    ]
    if sum(map(len, lanes)) > len(lanes) * (depth // 2 + 1):
        return []  # lanes are refilled several attempts at a time
    pairs: list[tuple[LocalAttempt, LocalAttempt]] = []
    room = MAX_QUEUED - sum(len(lane) - 1 for lane in lanes)
    for attempt in waiting[: max(0, room)]:
        lane = min(lanes, key=len, default=None)
        if lane is None or len(lane) > depth or not _may_follow(attempt, lane[-1], policy):
            break
        pairs.append((attempt, lane[-1]))
        lane.append(attempt)
    return pairs


def are_full(state: PilotState) -> bool:
    """Whether every lane has several queued attempts, so that the agent is not needed for a moment."""
    busy = state.with_slots()
    return bool(busy) and all(attempt.follower and attempt.follower.follower for attempt in busy)


def to_withdraw(state: PilotState, now: float) -> list[LocalAttempt]:
    """Return queued attempts to withdraw from the keeper, the last of each lane first.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    withdraw_all = state.draining or allocator.is_overfull(state)
    withdrawn: list[LocalAttempt] = []
    for head in state.with_slots():
        if head.follower and (withdraw_all or head.is_slow(now)):
            queued = reversed(_lane(head)[1:])
            withdrawn += [attempt for attempt in queued if not attempt.withdrawing]
    return withdrawn


def seconds_until_slow(state: PilotState, now: float) -> float:
    """Return the seconds until the next running attempt is slow and its lane is withdrawn; infinity for none."""
    moments = [attempt.slow_at() for attempt in state.with_slots()]
    return min((moment - now for moment in moments if moment > now), default=inf)


def _gpu_job_waits(state: PilotState) -> bool:
    """Whether a GPU job waits for something that lanes would keep from it for as long as they are refilled."""
    waiting = state.waiting(Queue.GPU) if state.enabled[Queue.GPU] else []
    if not waiting:
        return False
    return not OF_LANES.isdisjoint(allocator.free(state).needs(waiting[0].note.request))


def _depth(policy: ClaimPolicy, task: int) -> int:
    """Return how many attempts of a task may be queued in a lane."""
    pace = policy.paces.get(task)
    if pace is None or not pace.is_quick or pace.seconds >= LANE_SECONDS:
        return 0
    return min(MAX_LANE, int(LANE_SECONDS / pace.cost))


def _lane(head: LocalAttempt) -> list[LocalAttempt]:
    lane = [head]
    while follower := lane[-1].follower:
        lane.append(follower)
    return lane


def _alike(one: LocalAttempt, other: LocalAttempt) -> bool:
    """Whether they take the same; mostly they share one request."""
    mine, its = one.note.request, other.note.request
    return mine is its or mine == its


def _may_lead(attempt: LocalAttempt, waiting: LocalAttempt, policy: ClaimPolicy) -> bool:
    return (
        attempt.phase is Phase.RUNNING
        and attempt.note.queue is Queue.CPU
        and _alike(attempt, waiting)
        and attempt.keeper == waiting.keeper
        and _depth(policy, attempt.key.task_id) > 0
    )


def _may_follow(attempt: LocalAttempt, last: LocalAttempt, policy: ClaimPolicy) -> bool:
    return (
        attempt.ready is not None
        and attempt.end_reason is None
        and _alike(attempt, last)
        and attempt.keeper == last.keeper
        and _depth(policy, attempt.key.task_id) > 0
    )
