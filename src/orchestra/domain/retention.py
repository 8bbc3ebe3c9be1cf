"""For how long what is over is kept."""

from __future__ import annotations

from dataclasses import dataclass

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Seconds for which the database keeps things.

    Args:
        events: events of single jobs since their task was over, and of what is gone; keepers that are gone; lists of
            files that newer ones have replaced and no task knows.
        logs: the ends of jobs' logs since their task was over, but for its last failures.
        metrics: what jobs said of their results.
    """

    events: float = 180 * DAY
    logs: float = 90 * DAY
    metrics: float = 365 * DAY


DEFAULT_RETENTION = RetentionPolicy()
