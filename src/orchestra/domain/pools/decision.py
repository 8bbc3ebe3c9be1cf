"""How many allocations a pool submits, and which it withdraws, from the work that waits and what is there. Pure."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from orchestra.domain.models.pools import Decision, Situation
from orchestra.domain.pools import decision_text as text
from orchestra.domain.pools.census import Census, census
from orchestra.domain.pools.demand import wanted

SURPLUS_LASTS = timedelta(seconds=60)
"""How long there must have been too many pending allocations before the youngest are withdrawn."""
PART_OF_WAIT, LONGEST = 0.1, timedelta(minutes=10)
"""The part of the time that the oldest of them has waited which that must last at least, and at most that long: who
withdraws it while ten jobs test a large task waits once more for the rest."""


def decide(situation: Situation) -> Decision:
    """Return what to do about a pool now.

    No limit is ever exceeded: an allocation counts from before it is submitted until it is known to have ended.
    """
    have = census(situation)
    if situation.deletion:
        return Decision(withdraw=have.pending, why=text.DELETED)
    if situation.is_paused:
        return Decision(withdraw=have.pending, why=text.PAUSED)
    more = wanted(situation)
    need = _within(situation, have.serving + more)
    keep = max(need, _within(situation, have.serving + wanted(situation, patient=False)))
    submit, why = _submission(situation, have, need, more)
    surplus = max(0, min(have.serving + have.coming - keep, len(have.pending)))
    since = (situation.surplus_since or situation.now) if surplus else None
    withdraw = (
        have.pending[:surplus] if since and situation.now - since >= _patience(situation) else ()
    )
    if surplus:
        why = text.surplus(surplus)
    return Decision(submit, withdraw, need, why, since)


def _patience(situation: Situation) -> timedelta:
    waits = [each.submitted_at for each in situation.allocations if each.state.is_waiting]
    longest = max((situation.now - at for at in waits), default=timedelta())
    return max(SURPLUS_LASTS, min(LONGEST, PART_OF_WAIT * longest))


def _within(situation: Situation, allocations: int) -> int:
    """Return so many allocations, or as many as the limits of pilots demand or allow."""
    limits, nodes = situation.limits, situation.nodes
    return min(max(allocations, ceil(limits.min_pilots / nodes)), limits.max_pilots // nodes)


def _submission(situation: Situation, have: Census, need: int, more: int) -> tuple[int, str]:
    """Return how many allocations are to be submitted, and why it is not more."""
    limits = situation.limits
    missing = need - have.serving - have.coming
    if missing <= 0:
        return 0, _enough(situation, have, more)
    allowed = (limits.max_pilots - have.pilots) // situation.nodes
    if allowed <= 0:
        return 0, text.all_there(situation, have)
    if have.waiting >= limits.max_pending:
        return 0, text.all_pending(have, limits)
    if situation.back_off.not_before and situation.now < situation.back_off.not_before:
        return 0, text.backs_off(situation.back_off)
    if situation.back_off.early_ends and have.coming:
        return 0, text.ONE_AT_A_TIME
    many = min(missing, allowed, limits.max_pending - have.waiting)
    # Whatever was wrong, one submission finds out whether it still is.
    submit = 1 if situation.back_off.refusals or situation.back_off.early_ends else many
    return submit, text.submits(situation, submit)


def _enough(situation: Situation, have: Census, more: int) -> str:
    limit = situation.limits.max_pilots // situation.nodes
    if more > have.coming and have.serving + have.coming >= limit:
        return text.all_there(situation, have)
    if more:
        return text.comes(have)
    return text.soon_served(have) if situation.loads else text.NOTHING_WAITS
