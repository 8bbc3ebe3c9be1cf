"""What an agent knows, in memory: what its node offers, and its attempts. Plain values, no I/O."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any
from uuid import UUID

from orchestra.domain.models.nodes import NOTHING_FOUND, FoundResources
from orchestra.domain.models.work import AttemptKey, Grant, TaskSpec
from orchestra.domain.resources import Request
from orchestra.domain.states import Queue
from orchestra.pilot.prefetch import QUICK_SECONDS

if TYPE_CHECKING:
    from orchestra.pilot.open_log import OpenLog


LONG_NOTE = 200
"""Characters in a note up to which a keeper can always keep it: as JSON each takes twelve bytes at most."""


class Phase(Enum):
    """The phase of an attempt on this node."""

    WAITING = "waiting"
    """Waits for room. In: the Claimer. Out: the Spawner gives it slots; it is released."""
    PREPARING = "preparing"
    """Has slots; an I/O thread prepares it. In: the Spawner. Out: it is sent to the keeper, or its start has failed."""
    QUEUED = "queued"
    """The keeper starts it when the attempt before it has ended. In: the Spawner, for very quick tasks. Out: that one
    has ended, or the keeper refuses it."""
    RUNNING = "running"
    """It was sent to the keeper to be started now, or runs. Out: the keeper reports its end."""
    FINALIZING = "finalizing"
    """Its process has ended; an I/O thread reads what it left. In: the Supervisor. Out: its outcome is ready."""
    REPORTING = "reporting"
    """Its outcome waits for the database. In: the Reporter. Out: the report is committed."""


@dataclass(frozen=True, slots=True)
class Note:
    """What an agent needs to know of an attempt that an earlier agent started.

    The keeper stores it with the attempt, as JSON. `runtime` is the name of the container runtime, None for none;
    `image_key` is the image's name in the cache, if it is cached. `metrics_file` and `scratch`, the path of its scratch
    folder, are None if the agent that started the attempt did not support them.
    """

    queue: Queue
    request: Request
    task_folder: str
    folder_number: int
    done_attempt: int | None
    complete_file: str | None
    timeout: float | None
    grace: float
    devices: str | None = None
    runtime: str | None = None
    image_digest: str | None = None
    image_key: str | None = None
    metrics_file: str | None = None
    scratch: str | None = None

    @property
    def slots(self) -> int:
        """The slots of its queue that it takes; a part of a device is one."""
        return self.request.cpus if self.queue is Queue.CPU else max(self.request.gpus, 1)

    @property
    def memory(self) -> int | None:
        """The bytes of memory that it may use, None for no limit."""
        return self.request.memory_bytes or None

    @property
    def is_long(self) -> bool:
        """Whether it may be too long for a keeper. Encoding it as JSON to find out takes longer."""
        texts = (
            self.task_folder,
            self.complete_file,
            self.metrics_file,
            self.devices,
            self.scratch,
        )
        others = (self.runtime, self.image_digest, self.image_key)
        return sum(len(text) for text in (*texts, *others) if text) > LONG_NOTE

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values under short names, because a keeper stores only 3000 bytes of it.

        An agent of an older version reads the slots and the memory of a request.
        """
        request = self.request
        on_gpu = self.queue is Queue.GPU
        return {
            "q": self.queue.value,
            "s": self.slots,
            "f": self.task_folder,
            "n": self.folder_number,
            "d": self.done_attempt,
            "c": self.complete_file,
            "t": self.timeout,
            "g": self.grace,
            "v": self.devices,
            "m": self.memory,
            **({"r": self.runtime} if self.runtime else {}),
            **({"x": self.image_digest} if self.image_digest else {}),
            **({"k": self.image_key} if self.image_key else {}),
            **({"e": self.metrics_file} if self.metrics_file else {}),
            **({"p": request.cpus} if on_gpu and request.cpus else {}),
            **({"i": request.gpu_milli} if request.gpu_milli else {}),
            **({"b": request.vram_bytes} if request.vram_bytes else {}),
            **({"h": request.scratch_bytes} if request.scratch_bytes else {}),
            **({"o": 1} if request.exclusive else {}),
            **({"w": self.scratch} if self.scratch else {}),
        }

    @classmethod
    def from_json(cls, note: dict[str, Any]) -> Note:
        """Return the note that `to_json` encoded, perhaps of an older version, whose requests are slots and memory."""
        queue, milli = Queue(note["q"]), note.get("i", 0)
        on_gpu = queue is Queue.GPU
        return cls(
            queue=queue,
            request=Request(
                cpus=note.get("p", 0) if on_gpu else note["s"],
                gpus=note["s"] if on_gpu and not milli else 0,
                gpu_milli=milli,
                vram_bytes=note.get("b", 0),
                memory_bytes=note.get("m") or 0,
                scratch_bytes=note.get("h", 0),
                exclusive=bool(note.get("o")),
            ),
            task_folder=note["f"],
            folder_number=note["n"],
            done_attempt=note["d"],
            complete_file=note["c"],
            timeout=note["t"],
            grace=note["g"],
            devices=note["v"],
            runtime=note.get("r"),
            image_digest=note.get("x"),
            image_key=note.get("k"),
            metrics_file=note.get("e"),
            scratch=note.get("w"),
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a keeper needs to start an attempt. `log` is an open descriptor, `folder` the path without symlinks.

    `own_log` is the same file, open for reading; None if it could not be opened. `scratch` is its scratch folder.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: int
    folder: str
    own_log: OpenLog | None = None
    scratch: str | None = None

    def close(self) -> None:
        """Close the log of an attempt that is not started."""
        os.close(self.log)
        if self.own_log:
            self.own_log.close()


@dataclass(slots=True)
class LocalAttempt:
    """An attempt that this node holds. Times are by CLOCK_BOOTTIME.

    Args:
        ready: it was prepared before there was a slot for it.
        predecessor: the attempt whose end it waits for when it is queued; `follower` waits for the end of this one.
        withdrawing: the keeper was asked to withdraw it from its queue.
        granted_at: None if an earlier agent claimed it.
        slots_since: when it got its slots; None if it took over those of its predecessor.
        started_at: when its process started; None until the keeper has said so.
        start_reported: the start was reported to the database.
        end_reason: why it is to be ended; None if it is not.
        killed_at: when its keeper kills it, as it was asked to.
        log: its log as it was opened for it; None if it could not be opened.
    """

    key: AttemptKey
    keeper: UUID
    note: Note
    phase: Phase
    grant: Grant | None = None
    task: TaskSpec | None = None
    ready: Ready | None = None
    predecessor: LocalAttempt | None = field(default=None, repr=False, compare=False)
    follower: LocalAttempt | None = field(default=None, repr=False, compare=False)
    withdrawing: bool = False
    granted_at: float | None = None
    slots_since: float | None = None
    started_at: float | None = None
    start_reported: bool = False
    end_reason: str | None = None
    killed_at: float = inf
    log: OpenLog | None = field(default=None, repr=False, compare=False)

    def take_log(self) -> OpenLog | None:
        """Return its log, once. The caller closes it."""
        log, self.log = self.log, None
        return log

    def take_ready(self) -> Ready | None:
        """Return what was prepared, once. The caller closes the log."""
        ready, self.ready = self.ready, None
        return ready

    def queue_behind(self, other: LocalAttempt) -> None:
        """Start it when another one has ended, in the same slots."""
        self.phase = Phase.QUEUED
        self.predecessor, other.follower = other, self

    def leave_queue(self) -> None:
        """Let its follower take its place: behind its predecessor, or in its slots if it has none."""
        predecessor, follower = self.predecessor, self.follower
        self.predecessor = self.follower = None
        if predecessor:
            predecessor.follower = follower
        if follower:
            follower.predecessor = predecessor
            if not predecessor:
                follower.phase = Phase.RUNNING

    def slow_at(self) -> float:
        """When it stops counting as quick; infinity where that is unknown."""
        since = self.slots_since if self.started_at is None else self.started_at
        return inf if since is None else since + QUICK_SECONDS

    def is_slow(self, now: float) -> bool:
        """Whether it has had its slots for too long to be quick."""
        return now >= self.slow_at()

    @property
    def devices(self) -> tuple[str, ...]:
        devices = self.note.devices
        return tuple(devices.split(",")) if devices and self.note.queue is Queue.GPU else ()


@dataclass(slots=True)
class PilotState:
    """What a node has and its operator has enabled, and the attempts of its agent, in the order in which they came.

    Args:
        enabled: slots by queue.
        found: what the agent finds; `found.devices` are those that it may use, None if their number is not known.
        memory_bytes: what the operator has enabled, None for all that is found.
        nice: what is added to the niceness of jobs.
        queues: from which jobs are claimed.
        device_names: the UUIDs of devices by the indexes that an agent gave to jobs which knew no UUIDs.
    """

    enabled: dict[Queue, int] = field(default_factory=lambda: dict.fromkeys(Queue, 0))
    found: FoundResources = NOTHING_FOUND
    attempts: dict[AttemptKey, LocalAttempt] = field(default_factory=dict)
    draining: bool = False
    memory_bytes: int | None = None
    nice: int = 0
    queues: tuple[Queue, ...] = tuple(Queue)
    device_names: Mapping[str, str] = field(default_factory=dict)

    def add(self, attempt: LocalAttempt) -> None:
        self.attempts[attempt.key] = attempt

    def drop(self, key: AttemptKey) -> None:
        self.attempts.pop(key, None)

    def waiting(self, queue: Queue | None = None) -> list[LocalAttempt]:
        """Return the attempts that wait for slots, first come first."""
        waiting = Phase.WAITING  # a local variable: this loop is hot
        return [
            attempt
            for attempt in self.attempts.values()
            if attempt.phase is waiting and (queue is None or attempt.note.queue is queue)
        ]

    def of_keeper(self, keeper: UUID) -> Iterator[LocalAttempt]:
        return (attempt for attempt in self.attempts.values() if attempt.keeper == keeper)

    def device_named(self, name: str) -> str:
        """Return the UUID of a device by the name that a job was given: its UUID, the beginning of it, or an index."""
        found = [device.uuid for device in self.found.devices or ()]
        if name in found or not name.startswith(("GPU-", "MIG-")):
            return self.device_names.get(name, name)
        whole = [uuid for uuid in found if uuid.startswith(name)]
        return whole[0] if len(whole) == 1 else name

    def with_slots(self) -> list[LocalAttempt]:
        """Return the attempts that have a process, or are about to have one."""
        preparing, running = Phase.PREPARING, Phase.RUNNING
        return [
            attempt
            for attempt in self.attempts.values()
            if attempt.phase is running or attempt.phase is preparing
        ]

    @property
    def at_rest(self) -> bool:
        """Whether nothing runs, and nothing waits to run."""
        ended = (Phase.FINALIZING, Phase.REPORTING)
        return all(attempt.phase in ended for attempt in self.attempts.values())

    @property
    def busy(self) -> bool:
        """Whether an attempt has a process, or is about to have one."""
        return bool(self.with_slots())
