"""Which waiting attempts the keeper is told ahead of time, to be started one after the other. Pure.

Where jobs take milliseconds, a slot would else be empty for as long as it takes to tell an agent that one has ended and
a keeper to start the next. A running attempt and those that wait for it in line are a lane.
"""

from __future__ import annotations

from math import inf

from orchestra.domain.states import Queue
from orchestra.pilot import slots
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.state import LocalAttempt, Phase, PilotState

SECONDS = 0.1
"""So much work at most is in a lane: what is in it cannot use another slot that comes free."""
AT_MOST = 8
IN_LINE_AT_MOST = 256
"""Attempts that wait in all lanes together: a keeper holds an open log for each, and may have 1,024 files open."""


def to_queue(
    state: PilotState, appetite: ClaimPolicy, now: float
) -> list[tuple[LocalAttempt, LocalAttempt]]:
    """Give attempts that are to be put in line, in order, each with the one that it comes after.

    Of the cpu queue alone: what a GPU job is given is known only when devices come free. Never one that `to_withdraw`
    would take out again: it would be claimed, put in line and handed back without end.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    waiting = state.waiting(Queue.CPU)
    if not waiting or waiting[0].ready is None or state.draining or _is_overfull(state):
        return []
    depth = _depth(appetite, waiting[0].key.task_id)
    lanes = [
        _lane(attempt)
        for attempt in state.with_slots()
        if not attempt.is_slow(now) and _may_lead(attempt, waiting[0], appetite)
    ]
    if sum(map(len, lanes)) > len(lanes) * (depth // 2 + 1):
        return []  # they are made long again some at a time
    pairs: list[tuple[LocalAttempt, LocalAttempt]] = []
    room = IN_LINE_AT_MOST - sum(len(lane) - 1 for lane in lanes)
    for attempt in waiting[: max(0, room)]:
        lane = min(lanes, key=len, default=None)
        if lane is None or len(lane) > depth or not _may_follow(attempt, lane[-1], appetite):
            break
        pairs.append((attempt, lane[-1]))
        lane.append(attempt)
    return pairs


def are_full(state: PilotState) -> bool:
    """Whether every busy slot has some attempts in line, so that for a moment nobody has to look after them."""
    busy = state.with_slots()
    return bool(busy) and all(attempt.follower and attempt.follower.follower for attempt in busy)


def to_withdraw(state: PilotState, now: float) -> list[LocalAttempt]:
    """Give attempts in line that are to be taken out, the last of each lane first.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    all_of_them = state.draining or _is_overfull(state)
    withdrawing: list[LocalAttempt] = []
    for attempt in state.with_slots():
        if attempt.follower and (all_of_them or attempt.is_slow(now)):
            withdrawing += [
                attempt for attempt in reversed(_lane(attempt)[1:]) if not attempt.withdrawing
            ]
    return withdrawing


def seconds_until_slow(state: PilotState, now: float) -> float:
    """Give the seconds until the next attempt is late, and others do not wait for it; infinity where there is none."""
    moments = [attempt.slow_at() for attempt in state.with_slots()]
    return min((moment - now for moment in moments if moment > now), default=inf)


def _is_overfull(state: PilotState) -> bool:
    return state.in_use(Queue.CPU) > slots.offered(state, Queue.CPU)


def _depth(appetite: ClaimPolicy, task: int) -> int:
    """Count the attempts that may wait in a lane."""
    pace = appetite.paces.get(task)
    if pace is None or not pace.is_quick or pace.seconds >= SECONDS:
        return 0
    return min(AT_MOST, int(SECONDS / pace.cost))


def _lane(head: LocalAttempt) -> list[LocalAttempt]:
    lane = [head]
    while follower := lane[-1].follower:
        lane.append(follower)
    return lane


def _may_lead(attempt: LocalAttempt, waiting: LocalAttempt, appetite: ClaimPolicy) -> bool:
    return (
        attempt.phase is Phase.RUNNING
        and attempt.note.queue is Queue.CPU
        and attempt.note.slots == waiting.note.slots
        and attempt.keeper == waiting.keeper
        and _depth(appetite, attempt.key.task_id) > 0
    )


def _may_follow(attempt: LocalAttempt, last: LocalAttempt, appetite: ClaimPolicy) -> bool:
    return (
        attempt.ready is not None
        and attempt.end_reason is None
        and attempt.note.slots == last.note.slots
        and attempt.keeper == last.keeper
        and _depth(appetite, attempt.key.task_id) > 0
    )
