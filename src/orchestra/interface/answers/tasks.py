"""Rows of `task list`."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.estimates import Estimate
from orchestra.domain.models.tasks import Task


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A row of `task list`."""

    task: Task
    ends: Estimate
