"""The state and helpers that the duties of one agent share."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import UUID
from weakref import WeakValueDictionary

from orchestra.domain import troubles
from orchestra.domain.models.nodes import FoundResources
from orchestra.domain.models.work import AttemptKey, Revision, SharedFiles, TaskSpec
from orchestra.domain.troubles import Trouble
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.database_memory import DatabaseMemory
from orchestra.pilot.db_thread import DatabaseThread
from orchestra.pilot.gpu_meter import GpuMeter
from orchestra.pilot.inbox import Inbox
from orchestra.pilot.keepers import Keepers
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.pilot.lent import LentState
from orchestra.pilot.opening import Opening
from orchestra.pilot.state import PilotState
from orchestra.pilot.workers import Workers
from orchestra.services.work import Admissions

FIRST_BACK_OFF = 30.0
MAX_BACK_OFF = 600.0
"""Seconds for which a task is left to other nodes, the first time and at most."""


def boottime() -> float:
    """Seconds since the machine was started, suspended or not. Keepers use the same clock, across processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(slots=True)
class Context:
    """State and helpers of one agent; only its own thread uses them.

    Args:
        node_id: 0 until the agent has attached to the database.
        request: the number of the last claim that was answered. Numbers begin with CLOCK_BOOTTIME in microseconds at
            the moment when the agent takes over. A keeper lives within one boot, so they exceed those of earlier
            agents.
        tasks: what the database has said about tasks; each revision is known for good.
        versions: files of data sets that known tasks read; used by the database thread.
        admissions: which tasks may use the node, apart from what their jobs need; used by the database thread.
        unseen: parts of the machine at which the agent has not looked yet.
        adopted: the keepers of earlier agents have been looked for.
        superseded: another agent decides for the node now.
        opening: the node's hours, and its planned drain.
        troubles: what `node list` shows, by the duty that reports it and its subject.
        check_disk: a keeper had no room for an outcome.
        lent: the allocation of a pool that it runs in; None on other nodes.
        stalled: attempts whose start a file system has delayed for too long, each with its task.
        unresponsive: folders that do not answer, each with a sentence.
        avoided: tasks that are left to other nodes for a while because they cannot start here: until when, by the
            monotonic clock. `failed_starts` counts how often.
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
    gpu_meter: GpuMeter
    database: DatabaseThread = field(init=False)
    claim_policy: ClaimPolicy = field(default_factory=ClaimPolicy)
    tasks: dict[Revision, TaskSpec] = field(default_factory=dict)
    versions: WeakValueDictionary[int, SharedFiles] = field(default_factory=WeakValueDictionary)
    admissions: Admissions = field(default_factory=Admissions)
    node_id: int = 0
    request: int = 0
    unseen: set[str] = field(default_factory=lambda: {"machine", "gpus", "scratch"})
    adopted: bool = False
    superseded: bool = False
    pause_until: float = 0.0
    opening: Opening = field(default_factory=Opening)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    check_disk: bool = False
    lent: LentState | None = None
    stalled: dict[AttemptKey, int] = field(default_factory=dict)
    unresponsive: dict[str, str] = field(default_factory=dict)
    avoided: dict[int, float] = field(default_factory=dict)
    failed_starts: dict[int, int] = field(default_factory=dict)

    @property
    def found(self) -> FoundResources | None:
        """What the agent finds on its machine; None until it has looked at all of it."""
        return None if self.unseen else self.state.found

    @property
    def leases_expire(self) -> bool:
        """Whether jobs end with their lease, so that they can be requeued after it."""
        return self.on_lease_lost == "kill"

    def pause_claims(self, seconds: float, why: str) -> None:
        """Claim nothing for some seconds, and show why in `node list`."""
        self.pause_until = max(self.pause_until, time.monotonic() + seconds)
        self.troubles["claims"] = troubles.no_claims(why)

    def back_off_task(self, task: int, why: str) -> None:
        """Claim no job of a task for a while, longer each time, and show why in `node list`."""
        times = self.failed_starts[task] = self.failed_starts.get(task, 0) + 1
        pause = min(FIRST_BACK_OFF * 2.0 ** min(times - 1, 30), MAX_BACK_OFF)
        self.avoided[task] = time.monotonic() + pause
        self.troubles[f"avoided {task}"] = troubles.cannot_run(task, why)

    def avoid_task(self, seconds: float, task: int, why: str) -> None:
        """Claim no job of a task for some seconds, and show why in `node list`."""
        self.avoided[task] = time.monotonic() + seconds
        self.troubles[f"avoided {task}"] = troubles.cannot_start(task, why)

    def readmit_tasks(self, now: float) -> bool:
        """Allow claims of tasks whose pause is over; return whether there were any."""
        over = [task for task, until in self.avoided.items() if until <= now]
        for task in over:
            del self.avoided[task]
            self.troubles.pop(f"avoided {task}", None)
        return bool(over)

    @property
    def is_disk_full(self) -> bool:
        """Whether the pilot's own disk has no room."""
        return "disk" in self.troubles

    @property
    def has_room(self) -> bool:
        """Whether jobs can be started as far as the pilot's own disks are concerned."""
        return not self.is_disk_full and "scratch" not in self.troubles

    @property
    def reported_troubles(self) -> tuple[Trouble, ...]:
        """What `node list` shows about this pilot."""
        return (*self.troubles.values(), *list(self.launch.silent.values()))
