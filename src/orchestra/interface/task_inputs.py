"""Taking the inputs of a task as they are now, and adding configs to it. The caller reads the files, on its machine."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.datasets import Manifest
from orchestra.domain.models.tasks import Origin
from orchestra.interface.answers.task_inputs import Added, TaskInputs, Updated
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class InputsOf(Question[TaskInputs]):
    """The data sets that a task reads, in their newest versions; asked before their files are read again.

    Raises:
        NotFound: there is no such task.
        Refused: it belongs to somebody else, or a data set that it reads has been deleted.
    """

    task: int


@dataclass(frozen=True, slots=True)
class UpdateTask(Change[Updated]):
    """Let a task read the newest versions of its data sets, and retry what is not done, or with `every` all.

    Jobs that are alive keep what they were started with. If nothing has changed, an ended task stays as it is, and the
    changes in the answer are empty.

    Args:
        more: the configs that were added to the task alone, as they are now; those that are gone are not in it. None if
            they were not read again.
        origin: where its program comes from now.
        bypass: skip the test.

    Raises:
        NotFound, Refused: it cannot be retried, or a data set that it reads has been deleted.
        BadInput: the manifest cannot be used.
    """

    task: int
    more: Manifest | None = None
    origin: Origin | None = None
    every: bool = False
    bypass: bool = False


@dataclass(frozen=True, slots=True)
class AddConfigs(Change[Added]):
    """Add configs to a task, with the next numbers, and run them. Files that it has already are left out.

    Raises:
        NotFound, Refused: configs cannot be added to it, or it has all of these.
        BadInput: the manifest cannot be used.
    """

    task: int
    files: Manifest
