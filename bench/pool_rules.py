"""How other programs decide how many pilots to submit, as far as their documentation and sources say. Pure.

HyperQueue: docs/deployment/allocation.md and `compute_submission_permit` in server/autoalloc/process.rs. Parsl:
`_general_strategy` in parsl/jobs/strategy.py. Both are told when a pilot starts and ends, as Orchestra is.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from orchestra.domain.models.pools import Decision, Situation
from orchestra.domain.pools.census import census

HYPERQUEUE_IDLE = 300.0
"""Seconds without a job after which a worker leaves, by default (`--idle-timeout`)."""
PARSL_IDLE = timedelta(seconds=120)
"""How long there must have been no job before all blocks are cancelled, by default (`max_idletime`)."""
PARSL_IDLE_SECONDS = PARSL_IDLE.total_seconds()


def hyperqueue(situation: Situation) -> Decision:
    """As many workers as the waiting tasks fill at once; at most `--backlog` wait, and none is withdrawn."""
    have = census(situation)
    need = ceil(sum(load.jobs / load.fit for load in situation.loads)) - have.coming
    allowed = min(
        situation.limits.max_pilots - have.pilots, situation.limits.max_pending - have.waiting
    )
    return Decision(max(0, min(need, allowed)))


def parsl(situation: Situation) -> Decision:
    """As many blocks as all tasks fill at once (`parallelism=1`); pending ones are cancelled when no task is left."""
    have = census(situation)
    active = sum(load.jobs / load.fit for load in situation.loads) + sum(
        each.running > 0 for each in situation.allocations
    )
    if active:
        missing = ceil(active) - have.serving - have.coming
        return Decision(max(0, min(missing, situation.limits.max_pilots - have.pilots)))
    since = situation.surplus_since or situation.now
    is_idle = situation.now - since >= PARSL_IDLE
    return Decision(withdraw=have.pending if is_idle else (), surplus_since=since)
