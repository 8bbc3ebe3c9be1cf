"""When the jobs in an allocation must end, and how long they may take to. Pure; times are in seconds."""

from __future__ import annotations

from math import inf

MARGIN = 60.0
"""Before the end of an allocation, for what is done once its jobs have ended: results are read, outcomes reported."""
KILL_WAIT = 30.0
"""Between TERM and KILL of an engine, as Slurm's KillWait is by default."""
REPORTING = 8.0
"""Of it, after the last job has been killed, in which outcomes are reported."""
PLANNED = 65.0
"""How much earlier than asked for an engine may send TERM: `--signal` in sbatch(1) says up to 60 s."""


def margin(whole: float) -> float:
    """Return the margin of an allocation that lasts so long from the moment when its pilot starts."""
    return MARGIN if whole == inf else min(MARGIN, max(whole, 0.0) / 10)


def told_before(walltime: float | None) -> float:
    """Return how long before the end of an allocation its engine is asked to send TERM; 0 for not at all.

    Pilots know when their allocation ends. This is for those that do not, and may come a minute too early: in a short
    allocation it would come at once.
    """
    return MARGIN / 2 if walltime is None or walltime >= 10 * MARGIN else 0.0


def time_to_die(left: float, *, ending: float, kill_wait: float) -> float:
    """Return how long after TERM everything in an allocation is killed.

    Args:
        left: until its end as far as that is known, infinite otherwise. TERM for another reason, such as preemption,
            comes at any time and leaves `kill_wait`.
        ending: how long before its end the engine sends TERM to a pilot.
    """
    is_planned = left <= ending + PLANNED
    return max(left, kill_wait) if is_planned else kill_wait


def grace_within(seconds: float) -> float:
    """Return the grace that jobs get at most, if everything is killed after some seconds."""
    return max(seconds - REPORTING, seconds / 2)
