"""What is needed to run a job's command outside a pilot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.domain.command import parse
from orchestra.domain.models.tasks import Task


@dataclass(frozen=True, slots=True)
class LocalRun:
    """`inputs` maps each tag except %OUT to its path; `reads` are the folders, or single files, of its data sets."""

    task: Task
    index: int
    inputs: Mapping[str, str]
    reads: tuple[str, ...]

    def command(self, out: str) -> str:
        """Return the command with its tags replaced.

        Raises:
            BadInput: a path cannot be written in place of its tag.
        """
        return parse(self.task.command).render({**self.inputs, "OUT": out})
