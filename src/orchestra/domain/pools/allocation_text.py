"""An allocation in words. Pure."""

from __future__ import annotations

from datetime import datetime

from orchestra.domain.human import about, relative
from orchestra.domain.models.pools import Allocation


def wait_of(allocation: Allocation, now: datetime) -> str:
    """Return for how long an allocation has waited: `for 4 min`."""
    return f"for {about((now - allocation.submitted_at).total_seconds())}"


def life_of(allocation: Allocation, now: datetime) -> str:
    """Return when it ran, and whether any job ran in it."""
    if allocation.started_at is None:
        return _unstarted(allocation, now)
    ran = (allocation.ended_at or now) - allocation.started_at
    lasted = f"for {about(ran.total_seconds())}"
    if allocation.ended_at is None:
        return lasted
    jobs = "" if allocation.first_job_at else ", without a job"
    ended = relative(-(now - allocation.ended_at).total_seconds())
    return f"{ended}, ran {lasted}{jobs}"


def _unstarted(allocation: Allocation, now: datetime) -> str:
    if allocation.ended_at is None:
        return ""
    ended = relative(-(now - allocation.ended_at).total_seconds())
    return f"{ended}, never started" + ("; withdrawn" if allocation.cancelled_at else "")
