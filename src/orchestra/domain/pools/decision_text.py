"""Why a pool submits what it submits, or nothing: one sentence for people. Pure."""

from __future__ import annotations

from orchestra.domain.human import count, sentence
from orchestra.domain.models.pools import BackOff, PoolLimits, Situation
from orchestra.domain.pools.census import Census

DELETED = "The pool is being deleted."
PAUSED = "The pool is paused."
NOTHING_WAITS = "No job waits for a pilot."
ONE_AT_A_TIME = (
    "Until an allocation has run a job, only one at a time is submitted: others ended before."
)


def surplus(allocations: int) -> str:
    """Return that allocations wait in the queue for which no work is left."""
    if allocations == 1:
        return "1 pending allocation has no work left, and is withdrawn if that lasts."
    return f"{allocations} pending allocations have no work left, and are withdrawn if that lasts."


def all_there(situation: Situation, have: Census) -> str:
    """Return that the pool has as many pilots as it may have."""
    limit = count(situation.limits.max_pilots, "pilot")
    if situation.nodes > situation.limits.max_pilots:
        return f"An allocation has {count(situation.nodes, 'pilot')}, and the pool may have only {limit}."
    return f"The pool has {count(have.pilots, 'pilot')}, and may have {limit}."


def all_pending(have: Census, limits: PoolLimits) -> str:
    """Return that as many allocations wait in the queue as may wait there."""
    wait = "waits" if have.waiting == 1 else "wait"
    return f"{count(have.waiting, 'allocation')} {wait} in the queue, and at most {limits.max_pending} may."


def backs_off(back_off: BackOff) -> str:
    """Return what happened, and that nothing is submitted for a while; until when is shown beside it."""
    return sentence(f"Nothing is submitted for a while, because {what_happened(back_off)}")


def what_happened(back_off: BackOff, of: str = "") -> str:
    """Return why a pool backs off: `the last 3 submissions were refused: Invalid qos`. `of` may name the pool."""
    if back_off.refusals == 1:
        what = f"the last submission{of} was refused"
    elif back_off.refusals:
        what = f"the last {back_off.refusals} submissions{of} were refused"
    elif back_off.early_ends == 1:
        what = f"the last allocation{of} ended before it ran a job"
    else:
        what = f"allocations{of} ended before they ran a job, {back_off.early_ends} times in a row"
    return f"{what}: {back_off.trouble}" if back_off.trouble else what


def comes(have: Census) -> str:
    """Return that allocations are submitted already for the jobs that wait."""
    if have.coming == 1:
        return "1 allocation is on its way for the jobs that wait."
    return f"{have.coming} allocations are on their way for the jobs that wait."


def soon_served(have: Census) -> str:
    """Return that another allocation is not worth it."""
    others = f", with {count(have.coming, 'allocation')} on the way" if have.coming else ""
    return f"The nodes that serve will soon have done what waits{others}: one more would have too little to do."


def submits(situation: Situation, allocations: int) -> str:
    """Return for what allocations are submitted."""
    submitted = f"Submitted {count(allocations, 'allocation')}"
    jobs = sum(load.jobs for load in situation.loads)
    if not jobs:
        return f"{submitted}, to keep {count(situation.limits.min_pilots, 'pilot')}."
    wait = f"{count(jobs, 'job')} {'waits' if jobs == 1 else 'wait'}"
    if all(load.typical is None for load in situation.loads):
        return f"{submitted}, to see how long the jobs take: {wait}."
    return f"{submitted}: {wait}."
