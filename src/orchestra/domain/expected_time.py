"""How long a job is expected to take at most. Pure.

The SQL function `expected_seconds` (migration 0018) says the same; a test compares the two.
"""

from __future__ import annotations

MARGIN = 1.25
"""A job may take this many times the 95th percentile of its task's done jobs."""


def expected_seconds(
    walltime: float | None, timeout: float | None, p95: float | None
) -> float | None:
    """Return the seconds within which a job ends in all likelihood: what its owner says, else what others took.

    None if nothing is known.
    """
    if walltime is not None:
        return walltime
    if timeout is not None:
        return timeout
    return None if p95 is None else MARGIN * p95


def can_end_within(expected: float | None, grace: float, seconds_left: float) -> bool:
    """Whether a job may start that must have ended in so many seconds. One of unknown length may.

    `grace` is what it gets between TERM and KILL: so much time is left for a job that its timeout ends.
    """
    return expected is None or expected + grace <= seconds_left
