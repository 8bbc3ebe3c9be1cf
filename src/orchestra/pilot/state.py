"""What an agent knows, in memory: its slots and the attempts that it holds. Plain values, no I/O."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any
from uuid import UUID

from orchestra.domain.models.work import AttemptKey, Grant, TaskSpec
from orchestra.domain.states import Queue
from orchestra.pilot.prefetch import QUICK_SECONDS

if TYPE_CHECKING:
    from orchestra.pilot.open_log import OpenLog


LONG = 200
"""Characters in a note up to which a keeper can keep it in any case: as JSON each takes twelve bytes at most."""


class Phase(Enum):
    """How far an attempt is on this node."""

    WAITING = "waiting"
    """In: a claim. Out: slots come free; it is handed back."""
    PREPARING = "preparing"
    """Has its slots; an I/O thread makes its folder. Out: the keeper is told to start it; its start failed."""
    QUEUED = "queued"
    """The keeper has it, and starts it when the one ahead of it has ended. In: its task is very quick. Out: that one
    has ended; it is refused."""
    RUNNING = "running"
    """The keeper was told to start it, or told us that it runs. Out: the keeper says how it ended."""
    FINALIZING = "finalizing"
    """Its process has ended; an I/O thread reads the end of its log. Out: its outcome is ready."""
    REPORTING = "reporting"
    """Its outcome waits for the database. Out: the report is committed."""


@dataclass(frozen=True, slots=True)
class Note:
    """What an agent needs to know of an attempt that an earlier agent started.

    It travels with the attempt through the keeper, as JSON. `runtime` is the name of the one that it was started with,
    None for none; `image_key` its image's name in the cache, where that is kept there. `metrics_file` is None for an
    attempt that an agent started which did not read it.
    """

    queue: Queue
    slots: int
    task_folder: str
    folder_number: int
    done_attempt: int | None
    complete_file: str | None
    timeout: float | None
    grace: float
    devices: str | None = None
    memory: int | None = None
    runtime: str | None = None
    image_digest: str | None = None
    image_key: str | None = None
    metrics_file: str | None = None

    @property
    def is_long(self) -> bool:
        """Whether it may be too long for a keeper. To write it as JSON to find that out takes longer."""
        texts = (self.task_folder, self.complete_file, self.metrics_file, self.devices)
        others = (self.runtime, self.image_digest, self.image_key)
        return sum(len(text) for text in (*texts, *others) if text) > LONG

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values, under short names: a keeper keeps only 3000 bytes of it."""
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
        }

    @classmethod
    def from_json(cls, note: dict[str, Any]) -> Note:
        """Read what `to_json` wrote."""
        return cls(
            queue=Queue(note["q"]),
            slots=note["s"],
            task_folder=note["f"],
            folder_number=note["n"],
            done_attempt=note["d"],
            complete_file=note["c"],
            timeout=note["t"],
            grace=note["g"],
            devices=note["v"],
            memory=note.get("m"),
            runtime=note.get("r"),
            image_digest=note.get("x"),
            image_key=note.get("k"),
            metrics_file=note.get("e"),
        )


@dataclass(frozen=True, slots=True)
class Ready:
    """All that a keeper needs to start an attempt; `log` is an open descriptor, `folder` the path without links.

    `own_log` is the same file, open for reading; None where that cannot be had.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: int
    folder: str
    own_log: OpenLog | None = None

    def close(self) -> None:
        """Close the log, which nobody takes."""
        os.close(self.log)
        if self.own_log:
            self.own_log.close()


@dataclass(slots=True)
class LocalAttempt:
    """An attempt that this node holds.

    Args:
        ready: it was made ready before there was a slot for it.
        ahead: whose end it waits for in NEXT; `follower` is what waits for this one's end.
        recalled: the keeper was asked to let go of it while it is in NEXT.
        granted: when it came, by CLOCK_BOOTTIME; None where an earlier agent had claimed it.
        taken: when it got its slots, by CLOCK_BOOTTIME; None where it took another one's place.
        began: when its process started, by CLOCK_BOOTTIME; None as long as the keeper has not said so.
        announced: the database was told that it started.
        end_reason: why it is to be ended, once that is wanted.
        log: its log as it was opened for it; None where that cannot be had.
    """

    key: AttemptKey
    keeper: UUID
    note: Note
    phase: Phase
    grant: Grant | None = None
    task: TaskSpec | None = None
    ready: Ready | None = None
    ahead: LocalAttempt | None = field(default=None, repr=False, compare=False)
    follower: LocalAttempt | None = field(default=None, repr=False, compare=False)
    withdrawing: bool = False
    granted: float | None = None
    taken: float | None = None
    began: float | None = None
    announced: bool = False
    end_reason: str | None = None
    log: OpenLog | None = field(default=None, repr=False, compare=False)

    def take_log(self) -> OpenLog | None:
        """Give its log, once: whoever takes it closes it."""
        log, self.log = self.log, None
        return log

    def take_ready(self) -> Ready | None:
        """Give what was made ready, once: whoever takes it closes the log."""
        ready, self.ready = self.ready, None
        return ready

    def follow(self, other: LocalAttempt) -> None:
        """Have it start in the place of another one."""
        self.phase = Phase.QUEUED
        self.ahead, other.follower = other, self

    def leave_line(self) -> None:
        """Let what waits for this one take its place: next to the one ahead, or in its slots if there is none."""
        ahead, follower = self.ahead, self.follower
        self.ahead = self.follower = None
        if ahead:
            ahead.follower = follower
        if follower:
            follower.ahead = ahead
            if not ahead:
                follower.phase = Phase.RUNNING

    def slow_at(self) -> float:
        """Give the moment from which it is not taken for quick any more; infinity where that is not known."""
        since = self.taken if self.began is None else self.began
        return inf if since is None else since + QUICK_SECONDS

    def is_slow(self, now: float) -> bool:
        """Whether it has its slots for so long that it is not quick."""
        return now >= self.slow_at()

    @property
    def devices(self) -> tuple[str, ...]:
        given = self.note.devices
        return tuple(given.split(",")) if given and self.note.queue is Queue.GPU else ()


@dataclass(slots=True)
class PilotState:
    """The slots of a node and the attempts that its agent looks after, in the order in which they came.

    `visible` is the pilot's own list of devices, None if it was not given one.
    """

    enabled: dict[Queue, int] = field(default_factory=lambda: dict.fromkeys(Queue, 0))
    visible: tuple[str, ...] | None = None
    attempts: dict[AttemptKey, LocalAttempt] = field(default_factory=dict)
    draining: bool = False

    def add(self, attempt: LocalAttempt) -> None:
        self.attempts[attempt.key] = attempt

    def drop(self, key: AttemptKey) -> None:
        self.attempts.pop(key, None)

    def waiting(self, queue: Queue | None = None) -> list[LocalAttempt]:
        """Give the attempts that wait for slots, first come first."""
        waiting = Phase.WAITING  # these run again and again: what is looked up once counts
        return [
            attempt
            for attempt in self.attempts.values()
            if attempt.phase is waiting and (queue is None or attempt.note.queue is queue)
        ]

    def of_keeper(self, keeper: UUID) -> Iterator[LocalAttempt]:
        return (attempt for attempt in self.attempts.values() if attempt.keeper == keeper)

    def in_use(self, queue: Queue) -> int:
        """Count the slots that are taken, over all keepers."""
        return sum(
            attempt.note.slots for attempt in self.with_slots() if attempt.note.queue is queue
        )

    def with_slots(self) -> list[LocalAttempt]:
        """Give the attempts that have a process, or are about to have one."""
        preparing, running = Phase.PREPARING, Phase.RUNNING
        return [
            attempt
            for attempt in self.attempts.values()
            if attempt.phase is running or attempt.phase is preparing
        ]

    @property
    def at_rest(self) -> bool:
        """Whether nothing runs, and nothing waits to run."""
        return all(
            attempt.phase in (Phase.FINALIZING, Phase.REPORTING)
            for attempt in self.attempts.values()
        )

    @property
    def busy(self) -> bool:
        """Whether something has a process, or is about to have one."""
        return bool(self.with_slots())
