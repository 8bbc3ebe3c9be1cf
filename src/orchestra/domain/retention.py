"""For how long the database keeps records of the past."""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Seconds for which the database keeps records.

    Args:
        events: events of jobs after their task ended, events of what was deleted, keepers that ended, and file lists of
            data sets that were replaced and that no task uses.
        logs: the last lines of jobs' logs after their task ended, except those of its last failures.
        metrics: the metrics of jobs.
    """

    events: float = 180 * DAY
    logs: float = 90 * DAY
    metrics: float = 365 * DAY


DEFAULT_RETENTION = RetentionPolicy()
