"""What it takes to run a job by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.domain.command import parse
from orchestra.domain.models.tasks import Task


@dataclass(frozen=True, slots=True)
class ByHand:
    """What it takes: `inputs` gives each tag but %OUT its path; `reads` are its data sets' folders, or single files."""

    task: Task
    index: int
    inputs: Mapping[str, str]
    reads: tuple[str, ...]

    def command(self, out: str) -> str:
        """Give the command with all its tags written.

        Raises:
            BadInput: a path cannot be written where its tag stands.
        """
        return parse(self.task.command).render({**self.inputs, "OUT": out})
