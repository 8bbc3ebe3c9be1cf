"""Jobs, alone and in pages, and changes of them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.jobs import Attempt, Job
from orchestra.domain.models.logs import LogSource
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobStatus


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a task's jobs; `following` is the index of the next page, None at the end."""

    task: Task
    jobs: tuple[Job, ...]
    matching: int
    following: int | None


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job, with the name of its task."""

    job: Job
    task: str


@dataclass(frozen=True, slots=True)
class FoundJobs:
    """Some of the jobs that were searched for.

    Args:
        matching: how many there are in all; None if that would take a look at each job.
        following: the task and job from which to search on; None at the end.
    """

    jobs: tuple[FoundJob, ...]
    matching: int | None
    following: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class JobReport:
    """All that `job show` shows. `waits` lists the files for which a claimed job waits."""

    task: Task
    job: Job
    attempts: tuple[Attempt, ...]
    config_path: str
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """An attempt, with the command that it ran: None if that cannot be told, because its config was an older one's."""

    attempt: Attempt
    command: str | None


@dataclass(frozen=True, slots=True)
class JobsDone:
    """A change of jobs of one task; `jobs` counts those that were changed."""

    task: Task
    address: str
    jobs: int


@dataclass(frozen=True, slots=True)
class LogChunk:
    """The stored part of a log from a byte offset on; the database keeps its end.

    Args:
        offset: where `data` begins; later than requested if the part before is not stored.
        length: bytes of the whole log, as far as is known; None if nothing of it is stored.
        over: the log is complete.
    """

    offset: int
    data: bytes
    length: int | None
    over: bool


@dataclass(frozen=True, slots=True)
class JobsMatched:
    """A change of the jobs of a task that match a filter.

    Args:
        task: the task before the change.
        jobs: how many jobs were changed.
        following: where to go on, None if no more jobs match.
    """

    task: Task
    jobs: int
    following: tuple[JobStatus, int] | None


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of a log.

    Args:
        offset: where `data` begins; later than requested if the part before cannot be read any more.
        length: bytes of the whole log, as far as is known; None if nothing of it can be read.
        over: nothing will be added to the log, except by an attempt that is lost and still runs.
        awaited: the pilot that can read the log was asked to send this part: ask again. Meanwhile, this is what the
            database keeps of it.
        kept_from: the first byte that can be read from this source.
    """

    offset: int
    data: bytes
    length: int | None
    over: bool
    source: LogSource
    awaited: bool = False
    kept_from: int = 0

    @property
    def end(self) -> int:
        """The byte after the last one of `data`."""
        return self.offset + len(self.data)
