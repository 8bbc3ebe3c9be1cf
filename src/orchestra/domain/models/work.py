"""What pilots and the database tell each other about jobs (services/work)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from orchestra.domain.models.datasets import USUAL, FileChoice
from orchestra.domain.states import Cause
from orchestra.domain.usage import NOT_MEASURED, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID

    from orchestra.domain.metrics import Metrics
    from orchestra.domain.models.datasets import ManifestEntry
    from orchestra.domain.models.tasks import Resources
    from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True, order=True)
class AttemptKey:
    """Identifies an attempt in every message; the token fences it."""

    task_id: int
    index: int
    number: int
    token: UUID

    def __hash__(
        self,
    ) -> int:  # faster than the generated one; used for every attempt of a batch
        return hash((self.task_id, self.index, self.number))

    def __str__(self) -> str:
        return f"{self.task_id}/{self.index}/{self.number}"


@dataclass(frozen=True, slots=True)
class InputFile:
    """An input file of a job: its absolute path, its registered entry, and the root of its data set.

    `root` is None if the data set is a single file.
    """

    path: str
    entry: ManifestEntry
    root: str | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class SharedFiles:
    """The registered files of one version of a data set, shared by the tasks that read it."""

    root: str
    is_folder: bool
    entries: tuple[ManifestEntry, ...]
    choice: FileChoice = USUAL

    @property
    def are_files(self) -> bool:
        """Whether the entries are files, not output folders of an older task."""
        return all(entry.size is not None for entry in self.entries[:1])

    def __iter__(self) -> Iterator[InputFile]:
        for entry in self.entries:
            yield InputFile(f"{self.root}/{entry.path}" if self.is_folder else self.root, entry)


class Revision(NamedTuple):
    """One revision of a task, numbered from 1. What it says never changes."""

    task_id: int
    number: int


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What a pilot needs to know about one revision of a task.

    `inputs` maps each tag except %IN and %OUT to its path; `shared` are the files behind them, which are checked before
    a start.
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
    binds: tuple[str, ...] = ()
    metrics_file: str | None = None
    revision: int = 1

    @property
    def key(self) -> Revision:
        return Revision(self.id, self.revision)

    @property
    def shared_files(self) -> Iterator[InputFile]:
        return (file for files in self.shared for file in files)


@dataclass(frozen=True, slots=True)
class Grant:
    """A job that a keeper may start now.

    `folder_number` names the attempt's folder: an older attempt's with --resume, else a `new_folder`. `let_go` counts
    the starts, releases and retries of the task until the job was released. It runs with the task's `revision`.
    """

    key: AttemptKey
    is_test: bool
    folder_number: int
    done_attempt: int | None
    config: InputFile
    new_folder: bool = True
    let_go: int = 0
    revision: int = 1

    @property
    def of_revision(self) -> Revision:
        return Revision(self.key.task_id, self.revision)


Place = tuple[int, int]
"""The position of a task in its queue: its rank, and its id among tasks of equal rank."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: the grants in the order of their start, and the revisions of their tasks.

    `tasks` omits those that the agent already knows. `held_back` is what jobs of a queue need that were passed over
    because less was left; `more` is the position at which this claim stopped before the end of a queue. `at_limit`: a
    job was passed over for its owner's limits. `latest` is the keeper's highest request, perhaps another agent's. A
    `repeated` answer has none of these: claim again.
    """

    tasks: Mapping[Revision, TaskSpec] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    held_back: Mapping[Queue, tuple[Resources, ...]] = field(default_factory=dict)
    more: Mapping[Queue, Place] = field(default_factory=dict)
    at_limit: bool = False
    latest: int = 0
    repeated: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Started:
    """The start of a process. `age` is the seconds since then, so that the database can set the time."""

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
    """How an attempt ended, as its keeper observed it.

    Args:
        sequence: the keeper's number of this outcome; None for one that never reached a keeper.
        age: seconds since the end. `seconds` is the duration, 0 for an attempt that never started.
        reason: a description for people.
        log_tail: the last bytes of the log.
        inputs_note: how its inputs differed after the end from what was registered, in a sentence; else None.
        metrics: the job's metrics.
    """

    key: AttemptKey
    cause: Cause
    sequence: int | None = None
    exit_status: int | None = None
    signal: int | None = None
    reason: str | None = None
    age: float = 0.0
    seconds: float = 0.0
    usage: Usage = NOT_MEASURED
    devices: str | None = None
    log_bytes: int | None = None
    log_tail: bytes | None = None
    image_digest: str | None = None
    inputs_note: str | None = None
    metrics: Metrics | None = None

    @property
    def succeeded(self) -> bool:
        return self.cause is Cause.EXIT and self.exit_status == 0

    @property
    def started(self) -> bool:
        """Whether it is known to have had a process."""
        return self.cause not in _WITHOUT_PROCESS

    @property
    def is_final(self) -> bool:
        """Whether its end was observed; if not, it may still be reported."""
        return self.cause not in (Cause.LOST, Cause.UNHEARD)
