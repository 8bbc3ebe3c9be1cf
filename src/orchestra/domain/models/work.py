"""What pilots and the database say to each other of jobs (services/work)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    """What every word about an attempt names; the token fences it."""

    task_id: int
    index: int
    number: int
    token: UUID

    def __hash__(
        self,
    ) -> int:  # quicker than what dataclass makes; a batch asks for it all the time
        return hash((self.task_id, self.index, self.number))

    def __str__(self) -> str:
        return f"{self.task_id}/{self.index}/{self.number}"


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

    @property
    def are_files(self) -> bool:
        """Whether they are files, not the folders that an older task has written."""
        return all(entry.size is not None for entry in self.entries[:1])

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
    binds: tuple[str, ...] = ()
    metrics_file: str | None = None

    @property
    def shared_files(self) -> Iterator[InputFile]:
        return (file for files in self.shared for file in files)


@dataclass(frozen=True, slots=True)
class Grant:
    """A job that a keeper may start now.

    `folder_number` names the attempt's folder, which is an older attempt's with --resume, else a `new_folder`. `let_go`
    is the number of what let the job go: it counts up with each beginning, release and retry of its task.
    """

    key: AttemptKey
    is_test: bool
    folder_number: int
    done_attempt: int | None
    config: InputFile
    new_folder: bool = True
    let_go: int = 0


Place = tuple[int, int]
"""Where a task stands in the line of its queue: its rank, and its id between those of one rank."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim: the grants in the order in which they should start, and the tasks behind them.

    `tasks` leaves out those that the agent said it knows. `held_back` says for a queue how many slots the next job
    needs, which are more than were left; `more` how far this claim has looked along a queue's line, where it has not
    come to its end. `latest` is the keeper's highest request, perhaps another agent's. An answer that is `repeated`
    says nothing of what is held back, or of what more there is: ask anew.
    """

    tasks: Mapping[int, TaskSpec] = field(default_factory=dict)
    grants: tuple[Grant, ...] = ()
    held_back: Mapping[Queue, int] = field(default_factory=dict)
    more: Mapping[Queue, Place] = field(default_factory=dict)
    latest: int = 0
    repeated: bool = field(default=False, compare=False)


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
        inputs_note: what was found at its inputs after the end, in a sentence; None where they were as registered.
        metrics: what the job says of its result.
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
        """Whether somebody saw how it ended; what nobody saw may still be reported."""
        return self.cause not in (Cause.LOST, Cause.UNHEARD)
