"""When a keeper that is not heard of is taken for dead. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MARGIN = 120.0
"""Seconds beyond lease and grace: for clocks that drift, and for an ending that takes its time."""


@dataclass(frozen=True, slots=True)
class KeeperSilence:
    """A keeper with open attempts whose lease is over; all in seconds, by the database's clock.

    Args:
        lease: for how long it was renewed the last time; it ends its jobs by itself after that.
        grace: the longest time that one of its attempts may take to end.
        silent_for: since its last renewal.
        held_for: since when the conductor's duty has been held without a gap. While nobody held it, the database may
            have been away and the keeper unable to renew, so the wait begins anew after a gap.
    """

    lease: float
    grace: float
    silent_for: float
    held_for: float


def is_dead(silence: KeeperSilence, *, margin: float = MARGIN) -> bool:
    """Whether the keeper has ended its jobs for sure, so that they may be given to others."""
    wait = silence.lease + silence.grace + margin
    return min(silence.silent_for, silence.held_for) >= wait
