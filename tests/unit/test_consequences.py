"""What an action would do is said before it is done, the loss first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.domain.consequences import Affected, Setting, TaskAction, sentences
from orchestra.domain.states import Queue

TASK = Setting(Queue.CPU, jobs=118, running=12, done=18, followers=(), folder="/data/ana/mlp")
LIVING = Affected(ends=12, used_seconds=3.1 * 3600, waits=88)
SAID: list[tuple[TaskAction, Affected, Setting, str]] = [
    (
        TaskAction.KILL,
        LIVING,
        TASK,
        """Ends 12 running jobs, which have used 3.1 CPU hours. 88 waiting jobs will not run.
        18 done jobs keep their results.""",
    ),
    (
        TaskAction.KILL,
        Affected(ends=1, used_seconds=60),
        replace(TASK, queue=Queue.GPU, done=1, followers=("task 9 (user.bob.sum)",)),
        """Ends 1 running job, which has used 1 GPU minute. 1 done job keeps its result.
        Task 9 (user.bob.sum) waits for this task and will not start by itself.""",
    ),
    (TaskAction.KILL, Affected(), replace(TASK, done=0), "Ends no job: none of them is running or waiting."),
    (
        TaskAction.KILL_JOBS,
        Affected(ends=3, used_seconds=30, waits=1, exact=False),
        TASK,
        "Ends at least 3 running jobs, which have used 30 CPU seconds. At least 1 waiting job will not run.",
    ),
    (
        TaskAction.HOLD,
        Affected(waits=1),
        replace(TASK, running=1),
        "Starts no more jobs: 1 waiting job stays so until the task is released. 1 running job continues to run.",
    ),
    (TaskAction.RELEASE, Affected(waits=88), TASK, "Lets 88 waiting jobs start."),
    (
        TaskAction.RETRY,
        Affected(again=100, again_seconds=7200.0),
        TASK,
        "Runs 100 jobs again, about 2 CPU hours. 18 done jobs stay as they are.",
    ),
    (
        TaskAction.RETRY_ALL,
        Affected(again=118, done_again=18),
        TASK,
        "Runs 118 jobs again. 18 of them are done; each keeps its result until it has succeeded again.",
    ),
    (
        TaskAction.RETRY_JOBS,
        Affected(again=31),
        replace(TASK, done=0),
        "Runs 31 jobs again, before the others of the task.",
    ),
    (TaskAction.RETRY_JOBS, Affected(), TASK, "Runs no job again: none of them has ended without being done."),
    (
        TaskAction.DELETE,
        Affected(),
        TASK,
        """Deletes the task with its 118 jobs: states, history, ends of logs and metrics.
        Its files stay in /data/ana/mlp.""",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("action", "affected", "task", "said"), SAID)
def test_consequences_in_sentences(
    action: TaskAction, affected: Affected, task: Setting, said: str
) -> None:
    assert " ".join(sentences(action, affected, task)) == " ".join(said.split())


def test_every_action_has_consequences() -> None:
    for action in TaskAction:
        assert list(sentences(action, LIVING, TASK))
