"""Jobs, alone and in pages, and what was done to them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.jobs import Attempt, Job
from orchestra.domain.models.tasks import Task


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a task's jobs; `following` is the number to go on with, None at the end."""

    task: Task
    jobs: tuple[Job, ...]
    matching: int
    following: int | None


@dataclass(frozen=True, slots=True)
class JobReport:
    """All that `job show` says. `waits` says for which files a job waits that a pilot has."""

    task: Task
    job: Job
    attempts: tuple[Attempt, ...]
    config_path: str
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobsDone:
    """What was done to jobs of one task; `jobs` counts those that it changed."""

    task: Task
    address: str
    jobs: int


@dataclass(frozen=True, slots=True)
class LogEnd:
    """What the database keeps: the last bytes of a log of `length` bytes; None where nothing was kept."""

    tail: bytes | None
    length: int | None
