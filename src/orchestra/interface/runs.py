"""Runs: a task and its data sets in one step. Either all of it is stored or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.runs import Files
from orchestra.interface.answers.runs import Run, RunPlan
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class PlanRun(Question[RunPlan]):
    """What a run would be, with so many of its first commands. Nothing of it stays.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence about what cannot be used.
    """

    new: NewTask
    files: tuple[Files, ...]
    commands: int = 1


@dataclass(frozen=True, slots=True)
class CreateRun(Change[Run]):
    """Register files, and create a task that uses them.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence about what cannot be used.
    """

    new: NewTask
    files: tuple[Files, ...]
