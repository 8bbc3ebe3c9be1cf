"""The values that Orchestra speaks of. Frozen; made at the border of the store or by a service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from uuid import UUID

from orchestra.domain.states import Cause, Figure, Intent, JobState, Queue, TaskState

METRICS_FILE = "metrics.json"
"""What a job leaves in its output folder for `task results`, unless the task names another file."""


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str
    email: str
    is_admin: bool
    created_at: datetime
    mail: bool = True


@dataclass(frozen=True, slots=True)
class Slots:
    """How many slots of one kind a node offers now, and at most: `enabled <= maximum`."""

    enabled: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Node:
    """A machine, with what its pilot last said of itself."""

    id: int
    name: str
    cpu: Slots
    gpu: Slots
    created_at: datetime
    drained_at: datetime | None = None
    drained_by: str | None = None
    drain_reason: str | None = None
    seen_at: datetime | None = None
    online: bool = False
    host: str | None = None
    version: str | None = None
    runtimes: tuple[str, ...] = ()
    message: str | None = None
    cpu_in_use: int = 0
    gpu_in_use: int = 0


@dataclass(frozen=True, slots=True)
class DataSet:
    """A registered list of files; `version` is the one that new tasks take."""

    id: int
    name: str
    owner: str
    version_id: int
    version: int
    root: str
    is_folder: bool
    files: int
    bytes: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One file as it was when it was registered: path below the data set's root, bytes, nanoseconds, 32 bytes.

    An entry of an older task's outputs is a folder: it has no size, time or hash.
    """

    path: str
    size: int | None
    mtime_ns: int | None
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Resources:
    """What one job takes: slots of its queue are counted by `cores` (cpu) or `gpus` (gpu)."""

    cores: int = 1
    gpus: int = 0
    memory_bytes: int | None = None


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
class Policy:
    """How a task is tried, repeated and ended. Times are seconds."""

    test_jobs: int = 10
    test_for: float | None = None
    retries: int = 0
    timeout: float | None = None
    grace: float = 30.0
    priority: int = 0
    max_fails: Limit | None = None
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Who holds a task, since when, and why."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class After:
    """A task that another one waits for; `state` is None when it was deleted.

    `gives_configs` says that its outputs become the configs of the one that waits.
    """

    id: int
    name: str
    state: TaskState | None
    gives_configs: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """How many jobs of a task stand in each column of `task list`."""

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
        return sum(self[figure] for figure in Figure)

    @property
    def ended(self) -> int:
        return self.done + self.failed + self.killed + self.broken

    @property
    def living(self) -> int:
        """Jobs with a process, or about to be ended."""
        return self.testing + self.running + self.kill

    def __getitem__(self, figure: Figure) -> int:
        value: int = getattr(self, figure.value)
        return value


@dataclass(frozen=True, slots=True)
class Task:
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
    intent: Intent | None = None
    rank: int | None = None
    test_started_at: datetime | None = None
    work_started_at: datetime | None = None
    ended_at: datetime | None = None
    typical_seconds: float | None = None
    binds: tuple[str, ...] = ()
    metrics_file: str = METRICS_FILE
    after: tuple[After, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One config of a task. `config` is the file's path below the config data set's root."""

    task_id: int
    ordinal: int
    state: JobState
    config: str
    is_test: bool
    kill_requested: bool
    claimed: bool
    attempts: int
    failures: int
    losses: int
    done_attempt: int | None
    changed_at: datetime
    node: str | None = None
    cause: Cause | None = None
    reason: str | None = None
    exit_status: int | None = None
    signal: int | None = None
    started_at: datetime | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job on one node. Times by the database; durations in seconds by the keeper.

    `config_sha256` is that of its config as it was registered; before each start the file is compared with it.
    `image_digest` is that of the container image that it ran in.
    """

    task_id: int
    ordinal: int
    number: int
    node: str
    run: int
    is_test: bool
    claimed_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    lost_at: datetime | None
    folder: str
    devices: str | None
    cause: Cause | None
    reason: str | None
    exit_status: int | None
    signal: int | None
    seconds: float | None
    cpu_seconds: float | None
    max_rss_bytes: int | None
    accepted: bool | None
    log_bytes: int | None
    log_tail: bytes | None = None
    config_sha256: bytes | None = None
    image_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    at: datetime
    kind: str
    task_id: int | None
    ordinal: int | None
    attempt: int | None
    from_state: str | None
    to_state: str | None
    who: str
    why: str | None
    jobs: int | None


@dataclass(frozen=True, slots=True)
class JobPaths:
    """Where a job's attempts write. Every path of it is below the task's folder."""

    task_folder: PurePosixPath
    ordinal: int

    @property
    def link(self) -> PurePosixPath:
        """The name under which people find the result: a link to an attempt's folder."""
        return self.task_folder / f"job_configId_{self.ordinal}"

    @property
    def attempts(self) -> PurePosixPath:
        return self.task_folder / ".attempts" / f"job_configId_{self.ordinal}"

    def attempt(self, number: int) -> PurePosixPath:
        """The folder of one attempt: its `%OUT` and working directory."""
        return self.attempts / str(number)

    @staticmethod
    def folder(task_folder: str, ordinal: int, number: int) -> str:
        """The same as text, for who needs 100,000 of them."""
        return f"{task_folder}/.attempts/job_configId_{ordinal}/{number}"

    def log(self, number: int) -> PurePosixPath:
        return self.attempt(number) / "job.log"


# What pilots and the database say to each other (services/work.py).


@dataclass(frozen=True, slots=True, order=True)
class AttemptKey:
    """What every word about an attempt names; the token fences it."""

    task_id: int
    ordinal: int
    number: int
    token: UUID

    def __hash__(
        self,
    ) -> int:  # quicker than what dataclass makes; a batch asks for it all the time
        return hash((self.task_id, self.ordinal, self.number))

    def __str__(self) -> str:
        return f"{self.task_id}/{self.ordinal}/{self.number}"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file that a job reads: its absolute path, how it looked when it was registered, the folder of its data set.

    `root` is None where the data set is that one file.
    """

    path: str
    entry: ManifestEntry
    root: str | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SharedFiles:
    """The files of one version of a data set, as they were registered. Tasks that read the same one share it."""

    root: str
    is_folder: bool
    entries: tuple[ManifestEntry, ...]

    def __iter__(self) -> Iterator[InputFile]:
        for entry in self.entries:
            yield InputFile(f"{self.root}/{entry.path}" if self.is_folder else self.root, entry)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What the jobs of a task have in common, as a pilot needs it.

    `inputs` gives each tag but %IN and %OUT the path that stands for it; `shared` are the files behind them, which are
    checked before a start.
    """

    id: int
    name: str
    owner: str
    queue: Queue
    command: str
    image: str | None
    volume: str
    folder: str
    complete_file: str | None
    env: Mapping[str, str]
    inputs: Mapping[str, str]
    shared: tuple[SharedFiles, ...]
    resources: Resources
    timeout: float | None
    grace: float
    resume: bool
    typical_seconds: float | None
    binds: tuple[str, ...] = ()

    @property
    def shared_files(self) -> Iterator[InputFile]:
        return (file for files in self.shared for file in files)


@dataclass(frozen=True, slots=True)
class Grant:
    """A job that a keeper may start now.

    `folder_number` names the attempt's folder, which is an older attempt's with --resume, else a `new_folder`.
    """

    key: AttemptKey
    is_test: bool
    folder_number: int
    done_attempt: int | None
    config: InputFile
    new_folder: bool = True


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: the grants in the order in which they should start, and the tasks behind them.

    `tasks` leaves out those that the agent said it knows. `held_back` says for a queue how many slots the next job
    needs, which are more than were left. `latest` is the keeper's highest request, perhaps another agent's.
    """

    tasks: Mapping[int, TaskSpec] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    held_back: Mapping[Queue, int] = field(default_factory=dict)
    latest: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """A process exists. `age` is the seconds since its start, so that the database can stamp the time."""

    key: AttemptKey
    age: float
    devices: str | None = None
    image_digest: str | None = None


_WITHOUT_PROCESS = frozenset(
    {
        Cause.INPUT,
        Cause.VOLUME,
        Cause.RETURNED,
        Cause.NO_START,
        Cause.NO_CONTAINER,
        Cause.UNHEARD,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as its keeper saw it.

    Args:
        sequence: the keeper's number of this outcome; None for one that never reached a keeper.
        age: seconds since the end. `seconds` is the duration, 0 for an attempt that never started.
        reason: in words, for people.
        log_tail: the end of the log, bytes.
    """

    key: AttemptKey
    cause: Cause
    sequence: int | None = None
    exit_status: int | None = None
    signal: int | None = None
    reason: str | None = None
    age: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    devices: str | None = None
    log_bytes: int | None = None
    log_tail: bytes | None = None
    image_digest: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.cause is Cause.EXIT and self.exit_status == 0

    @property
    def started(self) -> bool:
        """Whether it is known to have had a process."""
        return self.cause not in _WITHOUT_PROCESS

    @property
    def is_final(self) -> bool:
        """Whether somebody saw how it ended; what nobody saw may still be reported."""
        return self.cause not in (Cause.LOST, Cause.UNHEARD)


@dataclass(frozen=True, slots=True)
class PilotHello:
    """An agent that wants to decide for a node.

    `runtimes` names the container runtimes that it found, without `bare`. `account` is its Unix account: unless root
    started it or `serve_all` is set, it is given that account's tasks alone.
    """

    node: str
    agent: UUID
    machine_id: str
    boot_id: str
    host: str
    pid: int
    account: str
    is_root: bool
    serve_all: bool
    may_conduct: bool
    version: str
    protocol: int
    runtimes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeeperHello:
    """A keeper that an agent started or adopted."""

    id: UUID
    machine_id: str
    boot_id: str
    pid: int
    version: str
    protocol: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database this is. The epoch rises when it turns out to have been replaced: restored, copied, failed over.

    `settling` says why nothing is claimed, moved or given away at present, None where all is well.
    """

    cluster: UUID
    epoch: int
    settling: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a pilot remembers of its database: who it is, and the highest report of each keeper that it committed."""

    cluster: UUID
    epoch: int
    acknowledged: Mapping[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database tells an agent about its node at each attach and renewal.

    Args:
        lease: seconds for which the keepers' attempts are theirs from the moment of the renewal's commit.
        enabled: slots by queue; both 0 while the node is drained.
        leave: the pilot is asked to take nothing new and go when its jobs have ended.
        leave_now: the same, and its jobs are to be ended.
        end: attempts that a user wants ended, each with the reason.
        superseded: another agent decides for this node now; this one stops at once (its jobs run on).
        fenced: keepers that get nothing more; what they run and is not theirs any more is to be ended.
        identity: which database this is; at an attach.
    """

    node_id: int
    lease: float
    enabled: Mapping[Queue, int]
    leave: bool = False
    leave_now: bool = False
    end: tuple[tuple[AttemptKey, str], ...] = ()
    superseded: bool = False
    fenced: frozenset[UUID] = frozenset()
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What comparing the attempts that a keeper holds with the database gave.

    `end` are attempts that the database does not grant to it (any more): they are to be ended, their outcome is still
    reported. `released` counts attempts that the database thought it held and the keeper does not.

    A database that was replaced by an older one has never heard of some attempts. `adopted` are those that are their
    jobs' latest ones from now on (their starts are to be told again), `strangers` those that are not: they run on, and
    only a person knows what is right.
    """

    end: tuple[AttemptKey, ...] = ()
    released: int = 0
    adopted: tuple[AttemptKey, ...] = ()
    strangers: tuple[AttemptKey, ...] = ()
