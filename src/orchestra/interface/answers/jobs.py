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
class LogChunk:
    """What the database keeps of a log from a byte on, which is the end of it.

    Args:
        offset: where `data` begins: later than was asked for where what is before is not kept.
        length: bytes of the whole log, as far as is known; None where nothing of it is kept.
        over: no more will come.
    """

    offset: int
    data: bytes
    length: int | None
    over: bool
