"""Runs: tasks that were created together with their data sets."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.datasets import DataSet, Taken
from orchestra.domain.models.tasks import Task
from orchestra.interface.answers.new_tasks import Preview


@dataclass(frozen=True, slots=True)
class RunInput:
    """The data set of a tag, and how it was found.

    Args:
        tag: IN for the configs, DATA, or another tag, without the %.
        live: numbers of the live tasks that use an earlier version. Jobs of theirs that have not started find other
            files than those that they were created with.
    """

    tag: str
    dataset: DataSet
    taken: Taken
    live: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would be, or is."""

    preview: Preview
    inputs: tuple[RunInput, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A task that was created, with the data sets that it was created with."""

    task: Task
    plan: RunPlan
