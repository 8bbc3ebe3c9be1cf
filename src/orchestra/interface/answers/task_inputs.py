"""What a task reads, and how it has changed."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.input_changes import NO_JOBS, InputChanges, SomeJobs
from orchestra.domain.models.datasets import DataSet
from orchestra.domain.models.tasks import Hold, Task
from orchestra.domain.transitions import TaskTransition


@dataclass(frozen=True, slots=True)
class ReadableInput:
    """A data set that a task reads, in its newest version; `own` if the caller may make a newer one."""

    dataset: DataSet
    own: bool


@dataclass(frozen=True, slots=True)
class TaskInputs:
    """What a task reads, for a caller who reads it again.

    `inputs` has each data set once. `more` are the paths of the configs that were added to the task alone. The configs
    of a task over the outputs of another one (`fixed_configs`) are recorded once and for all.
    """

    task: Task
    inputs: tuple[ReadableInput, ...]
    more: tuple[str, ...]
    fixed_configs: bool


@dataclass(frozen=True, slots=True)
class Updated:
    """A retry with the inputs as they are now.

    `before` is the task as it was, `changes` what has changed, `revision` the one with which its jobs start from now
    on. `hold` is what still holds it. `again` jobs run again or for the first time.
    """

    before: Task
    step: TaskTransition
    revision: int
    changes: InputChanges
    again: int = 0
    hold: Hold | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """Configs that were added to a task, by the numbers of their jobs.

    `there` are files that it had already, `differing` those of them whose contents have changed since.
    """

    before: Task
    step: TaskTransition
    added: SomeJobs
    there: SomeJobs = NO_JOBS
    differing: SomeJobs = NO_JOBS
    returned: SomeJobs = NO_JOBS
