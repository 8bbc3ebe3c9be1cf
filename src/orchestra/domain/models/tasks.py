"""Tasks, and what their jobs have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from operator import itemgetter
from typing import Any

from orchestra.domain.models.placement import ANYWHERE, Placement
from orchestra.domain.states import HoldCause, JobStatus, PendingOperation, Queue, TaskState

METRICS_FILE = "metrics.json"
"""The default file in a job's output folder with its metrics for `task results`."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one job needs of its node. None is no request.

    Args:
        cores: its CPU slots on the cpu queue, and the processors that its libraries are told to use on any.
        gpus: whole GPUs, on the gpu queue.
        memory_bytes: memory, which is also a limit.
        cpus_gpu_job: the CPU slots that it takes on the gpu queue; by default a GPU job takes none.
        gpu_milli: thousandths of one GPU, which it shares with others, in place of whole GPUs.
        vram_bytes: memory on each of its GPUs.
        scratch_bytes: room on the node's own disk.
        exclusive: no other job runs on its node.
    """

    cores: int = 1
    gpus: int = 0
    memory_bytes: int | None = None
    cpus_gpu_job: int = 0
    gpu_milli: int | None = None
    vram_bytes: int | None = None
    scratch_bytes: int | None = None
    exclusive: bool = False

    @property
    def asks_more(self) -> bool:
        """Whether it asks for more than slots and memory."""
        return self != Resources(self.cores, self.gpus, self.memory_bytes)


@dataclass(frozen=True, slots=True)
class Limit:
    """How many failures are too many: a number of jobs, or a percentage of the task's jobs."""

    count: int | None = None
    percent: float | None = None

    def reached(self, failures: int, jobs: int) -> bool:
        """Whether `failures` of `jobs` are too many."""
        if failures == 0:
            return False
        by_count = self.count is not None and failures >= self.count
        by_percent = self.percent is not None and failures * 100 >= self.percent * jobs
        return by_count or by_percent


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a task's program came from, as found by the command that created it.

    Args:
        script: the program's path, and `sha256` the checksum of its text in hexadecimal digits.
        interpreter: the path of the Python that runs it, if it was chosen by Orchestra.
        commit: the git commit of the script's folder; `dirty` if tracked files differed from it.
    """

    script: str | None = None
    sha256: str | None = None
    interpreter: str | None = None
    commit: str | None = None
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """How a task is tested, retried, limited and ended. Times are in seconds.

    `walltime` is how long a job takes at most, as expected: for scheduling, it ends no job.
    """

    test_jobs: int = 10
    test_for: float | None = None
    retries: int = 0
    timeout: float | None = None
    grace: float = 30.0
    priority: int = 0
    max_fails: Limit | None = None
    resume: bool = False
    max_running: int | None = None
    walltime: float | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds a task, since when, and why."""

    at: datetime
    by: str
    reason: str
    cause: HoldCause = HoldCause.PERSON

    @property
    def lasts(self) -> bool:
        """Whether the task is held again at once while the cause persists (an input that has changed)."""
        return self.cause is HoldCause.FILES


def hold_cause(noted: str | None, by: str) -> HoldCause:
    """The cause of a hold; a program of another version records none, or one that is unknown here."""
    if noted in set(HoldCause):
        return HoldCause(noted)
    return HoldCause.FILES if by == "orchestra" else HoldCause.PERSON


@dataclass(frozen=True, slots=True)
class Dependency:
    """A task that another one waits for; `state` is None if it was deleted before it was DONE.

    `gives_configs`: its outputs become the configs of the waiting task.
    """

    id: int
    name: str
    state: TaskState | None
    gives_configs: bool = False

    @property
    def met(self) -> bool:
        """Whether the wait for it is over."""
        return self.state is TaskState.DONE


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of jobs in each column of `task list`."""

    registered: int = 0
    assigned: int = 0
    testing: int = 0
    running: int = 0
    failed: int = 0
    done: int = 0
    kill: int = 0
    killed: int = 0
    broken: int = 0

    @property
    def total(self) -> int:
        return sum(self[status] for status in JobStatus)

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.killed + self.broken

    @property
    def living(self) -> int:
        """Jobs with a process, or being ended."""
        return self.testing + self.running + self.kill

    @classmethod
    def without_removed(cls, row: Mapping[str, Any], removed: int) -> Counts:
        """Return the counts of a row with a column for each, in which `removed` jobs are among the killed ones."""
        found = cls(*_columns(row))
        return replace(found, killed=found.killed - removed) if removed else found

    def __getitem__(self, status: JobStatus) -> int:
        value: int = getattr(self, status.value)
        return value


_columns = itemgetter(*(field.name for field in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Task:
    """A task. Its jobs are numbered below `jobs`; `removed` of them are not to be run and in none of the `counts`."""

    id: int
    name: str
    owner: str
    account: str
    queue: Queue
    state: TaskState
    command: str
    image: str | None
    volume: str
    folder: str
    complete_file: str | None
    config_version_id: int
    env: Mapping[str, str]
    policy: Policy
    resources: Resources
    jobs: int
    run: int
    counts: Counts
    created_at: datetime
    state_at: datetime
    hold: Hold | None = None
    pending_operation: PendingOperation | None = None
    rank: int | None = None
    test_started_at: datetime | None = None
    work_started_at: datetime | None = None
    ended_at: datetime | None = None
    typical_seconds: float | None = None
    p95_seconds: float | None = None
    binds: tuple[str, ...] = ()
    metrics_file: str = METRICS_FILE
    after: tuple[Dependency, ...] = ()
    goal: str | None = None
    attach_report: bool = False
    origin: Origin | None = None
    revision: int = 1
    removed: int = 0
    placement: Placement = ANYWHERE

    @property
    def active_jobs(self) -> int:
        """The jobs that are in one of the counts: those that are not removed."""
        return self.jobs - self.removed

    @property
    def is_over(self) -> bool:
        """Whether the task has ended and no pending operation changes its jobs, so that the counts are final."""
        return not self.state.is_live and self.pending_operation in (
            None,
            PendingOperation.RETRY,
            PendingOperation.RETRY_ALL,
        )
