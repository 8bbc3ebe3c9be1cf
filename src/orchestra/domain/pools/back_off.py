"""How long a pool submits nothing after a refusal, or after an allocation that ended before its first job. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from orchestra.domain.models.pools import Allocation, BackOff

AFTER_REFUSAL = 30.0
"""Seconds after a refusal; twice as many after each further one."""
AFTER_EARLY_END = 60.0
"""Seconds after an allocation that ended before it ran a job; twice as many after each further one."""
LONGEST = 3600.0


def refused(back_off: BackOff, now: datetime, words: str) -> BackOff:
    """Return what follows from a submission that the engine refused with these words."""
    refusals = back_off.refusals + 1
    until = _later(back_off, now, _delay(AFTER_REFUSAL, refusals))
    return replace(back_off, refusals=refusals, not_before=until, trouble=words)


def accepted(back_off: BackOff) -> BackOff:
    """Return what follows from a submission that the engine accepted: the refusals are over."""
    if not back_off.early_ends:
        return BackOff()
    return replace(back_off, refusals=0)


def early_end(back_off: BackOff, now: datetime, words: str) -> BackOff:
    """Return what follows from an allocation that ended before it ran a job (`is_early`).

    Of several that were submitted before the first of them ended, only the first counts: they have one cause.
    """
    if back_off.early_ends and back_off.not_before and now < back_off.not_before:
        return replace(back_off, trouble=words)
    early_ends = back_off.early_ends + 1
    until = _later(back_off, now, _delay(AFTER_EARLY_END, early_ends))
    return replace(back_off, early_ends=early_ends, not_before=until, trouble=words)


def first_job(back_off: BackOff) -> BackOff:
    """Return what follows from the first job of an allocation: early ends are over, refusals are not."""
    if not back_off.refusals:
        return BackOff()
    return replace(back_off, early_ends=0)


def is_early(allocation: Allocation, *, has_work: bool) -> bool:
    """Return whether the end of an allocation is a sign of trouble.

    It is none if a person or the pool has ended it, or if nothing was left that it could have run.
    """
    return has_work and allocation.first_job_at is None and allocation.cancelled_at is None


def _later(back_off: BackOff, now: datetime, seconds: float) -> datetime:
    """Return the end of a delay that begins now, and never one before that of an earlier delay."""
    until = now + timedelta(seconds=seconds)
    return max(until, back_off.not_before) if back_off.not_before else until


def _delay(first: float, times: int) -> float:
    return min(LONGEST, first * 2.0 ** min(times - 1, 30))
