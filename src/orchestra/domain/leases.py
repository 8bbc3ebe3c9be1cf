"""When a silent keeper is considered dead. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MARGIN = 120.0
"""Seconds added to lease and grace, for clock drift and for jobs that end slowly."""


@dataclass(frozen=True, slots=True)
class KeeperSilence:
    """The silence of a keeper with open attempts whose lease has expired. Seconds of the database's clock.

    Args:
        lease: the length of its last lease; the keeper ends its jobs by itself afterwards.
        grace: the longest time that one of its attempts may take to end.
        silent_for: the time since its last renewal.
        held_for: for how long the conductor's term has been held without a gap. During a gap the database may have been
            unavailable and the keeper unable to renew, so the wait restarts after it.
    """

    lease: float
    grace: float
    silent_for: float
    held_for: float


def is_dead(silence: KeeperSilence, *, margin: float = MARGIN) -> bool:
    """Whether the keeper has certainly ended its jobs, so that they may run elsewhere."""
    wait = silence.lease + silence.grace + margin
    return min(silence.silent_for, silence.held_for) >= wait
