"""Tasks as values, for tests without a database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from orchestra.domain.models.tasks import Counts, Policy, Resources, Task
from orchestra.domain.states import Queue, TaskState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_task(state: TaskState = TaskState.RUNNING, *, done: int = 4, **changes: Any) -> Task:
    """Task 3 with eight jobs, of which so many are done and the others wait."""
    task = Task(
        id=3,
        name="user.ana.mlp",
        owner="ana",
        account="ana",
        queue=Queue.CPU,
        state=state,
        command="",
        image=None,
        volume="/v",
        folder="/v/user.ana.mlp",
        complete_file=None,
        config_version_id=1,
        env={},
        policy=Policy(),
        resources=Resources(),
        jobs=8,
        run=1,
        counts=Counts(done=done, assigned=8 - done),
        created_at=NOW,
        state_at=NOW,
    )
    return replace(task, **changes)
