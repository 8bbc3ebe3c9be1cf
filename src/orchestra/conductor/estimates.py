"""The duty that learns how long a job of a task takes, for the end that lists show."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.states import TaskState
from orchestra.store import moves


def learn(conn: psycopg.Connection, tasks: Sequence[moves.LiveTask]) -> None:
    """Take the median of the first done jobs, for running tasks without a figure from their test."""
    for task in tasks:
        unknown = task.typical_seconds is None and task.facts.counts.done > 0
        if unknown and task.facts.state is TaskState.RUNNING:
            moves.update_typical_seconds(conn, task.id)
