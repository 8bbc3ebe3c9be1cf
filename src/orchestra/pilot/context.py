"""What the duties of one agent share."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import UUID
from weakref import WeakValueDictionary

from orchestra.domain import troubles
from orchestra.domain.models.work import AttemptKey, SharedFiles, TaskSpec
from orchestra.domain.troubles import Trouble
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.database_memory import DatabaseMemory
from orchestra.pilot.db_thread import DatabaseThread, Inbox
from orchestra.pilot.inputs import InputChecker
from orchestra.pilot.io_activity import IOActivity
from orchestra.pilot.keepers import Keepers
from orchestra.pilot.state import PilotState
from orchestra.pilot.workers import Workers
from orchestra.runtimes import Bind, Runtime
from orchestra.runtimes.images.cache import ImageCache
from orchestra.runtimes.images.prepared import Prepared

SILENT_AFTER = 10.0
"""Seconds after which a file system that has not answered is said not to answer."""
AVOID_FIRST = 30.0
AVOID_AT_MOST = 600.0
"""Seconds for which a task is left to other nodes, at first and at most."""


def boottime() -> float:
    """Seconds since the machine was started, asleep or not; keepers measure by it, across processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class LaunchConfig:
    """What it takes to turn a grant into a process: runtimes, what jobs inherit, the guard of inputs.

    `silent` are the engines that do not answer, by name; I/O threads write there, too.
    `stall_after` is the seconds after which a start that waits for a file system loses its slots; `log_limit` the bytes
    beyond which a log is cut (0: never). `binds` is what every container of this node sees of it; `prepared` are the
    images that are ready here. `suspects` are attempts of whose containers one may still appear, each with its runtime;
    I/O threads add to them.
    """

    runtimes: tuple[Runtime, ...]
    environment: Mapping[str, str]
    inputs: InputChecker
    stall_after: float = 30.0
    log_limit: int = 0
    binds: tuple[Bind, ...] = ()
    cache: ImageCache | None = None
    prepared: dict[str, Prepared] = field(default_factory=dict)
    silent: dict[str, Trouble] = field(default_factory=dict)
    suspects: deque[tuple[str, AttemptKey]] = field(default_factory=deque)
    io_activity: IOActivity = field(default_factory=IOActivity)

    @property
    def patience(self) -> float:
        """Seconds after which a file system that has not answered is said not to answer."""
        return min(SILENT_AFTER, self.stall_after)

    def runtime(self, name: str | None) -> Runtime | None:
        """Give the runtime of that name."""
        return next((runtime for runtime in self.runtimes if runtime.name == name), None)


@dataclass(slots=True)
class Context:
    """Values and helpers of one agent; only its own thread touches them.

    Args:
        node_id: 0 until the database has said it.
        request: the number of the last claim that was answered. Numbers begin with CLOCK_BOOTTIME, in microseconds, at
            the moment when the database lets the agent decide: a keeper lives within one boot, so that they are above
            those of the agents that decided before.
        versions: the files of data sets that tasks read, for as long as one of those tasks is known; the courier's.
        adopted: the keepers of earlier agents were looked for.
        superseded: another agent decides for the node now.
        troubles: what `node list` should say, by the duty that says it and what it concerns.
        room_doubted: a keeper had no room for an outcome.
        stalled: attempts whose start a file system has kept waiting for too long, each with its task.
        unanswering: folders that do not answer, each in words.
        avoided: tasks that are left to other nodes for a while, because their containers do not begin here: until when,
            by the monotonic clock. `refusals` counts how often that was so.
    """

    agent: UUID
    boot_id: str
    machine_id: str
    folder: Path
    lease: float
    on_lease_lost: Literal["kill", "keep"]
    launch: LaunchConfig
    state: PilotState
    keepers: Keepers
    database_memory: DatabaseMemory
    inbox: Inbox
    workers: Workers
    database: DatabaseThread = field(init=False)
    appetite: ClaimPolicy = field(default_factory=ClaimPolicy)
    tasks: dict[int, TaskSpec] = field(default_factory=dict)
    versions: WeakValueDictionary[int, SharedFiles] = field(default_factory=WeakValueDictionary)
    node_id: int = 0
    request: int = 0
    adopted: bool = False
    superseded: bool = False
    pause_until: float = 0.0
    troubles: dict[str, Trouble] = field(default_factory=dict)
    disk_suspected: bool = False
    stalled: dict[AttemptKey, int] = field(default_factory=dict)
    unresponsive: dict[str, str] = field(default_factory=dict)
    avoided: dict[int, float] = field(default_factory=dict)
    refusals: dict[int, int] = field(default_factory=dict)

    @property
    def leases_expire(self) -> bool:
        """Whether jobs end with their lease, so that they may be given to others after it."""
        return self.on_lease_lost == "kill"

    def pause_claims(self, seconds: float, why: str) -> None:
        """Claim nothing for a while, and say why in `node list`."""
        self.pause_until = max(self.pause_until, time.monotonic() + seconds)
        self.troubles["claims"] = troubles.no_claims(why)

    def back_off_task(self, task: int, why: str) -> None:
        """Claim no job of a task for a while, longer each time, and say why in `node list`."""
        times = self.refusals[task] = self.refusals.get(task, 0) + 1
        pause = min(AVOID_FIRST * 2.0 ** min(times - 1, 30), AVOID_AT_MOST)
        self.avoided[task] = time.monotonic() + pause
        self.troubles[f"avoided {task}"] = troubles.cannot_run(task, why)

    def avoid_task(self, seconds: float, task: int, why: str) -> None:
        """Claim no job of a task for some seconds, and say why in `node list`."""
        self.avoided[task] = time.monotonic() + seconds
        self.troubles[f"avoided {task}"] = troubles.cannot_start(task, why)

    def readmit_tasks(self, now: float) -> bool:
        """Let tasks be claimed again whose pause is over; whether there were any."""
        over = [task for task, until in self.avoided.items() if until <= now]
        for task in over:
            del self.avoided[task]
            self.troubles.pop(f"avoided {task}", None)
        return bool(over)

    @property
    def is_full(self) -> bool:
        """Whether the pilot's own disk has no room."""
        return "room" in self.troubles

    @property
    def reported_troubles(self) -> tuple[Trouble, ...]:
        """What `node list` should say of this pilot."""
        return (*self.troubles.values(), *list(self.launch.silent.values()))
