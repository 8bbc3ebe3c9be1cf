"""A task in a sentence, and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.domain.states import JobStatus

if TYPE_CHECKING:
    from orchestra.cli.output import Record
    from orchestra.domain.models.tasks import Task


def task_title(task: Task) -> str:
    """Return how messages name a task: "task 0 (user.ana.area)"."""
    return f"task {task.id} ({task.name})"


def task_record(task: Task) -> Record:
    """Return a task in JSON, as `task list` and `task show` have it."""
    return {
        "id": task.id,
        "name": task.name,
        "owner": task.owner,
        "queue": task.queue.value,
        "state": task.state.value,
        "jobs": task.jobs,
        "removed": task.removed,
        "counts": {status.value: task.counts[status] for status in JobStatus},
        "held": None
        if task.hold is None
        else {"at": task.hold.at, "by": task.hold.by, "reason": task.hold.reason},
        "after": [
            {"id": each.id, "name": each.name, "state": each.state and each.state.value}
            for each in task.after
        ],
        "created_at": task.created_at,
        "state_at": task.state_at,
        "ended_at": task.ended_at,
    }
