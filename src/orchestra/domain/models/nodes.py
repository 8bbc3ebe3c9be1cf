"""Nodes, their slots, and the pilots and keepers on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from uuid import UUID

from orchestra.domain import human, troubles
from orchestra.domain.errors import BadInput
from orchestra.domain.troubles import Trouble
from orchestra.domain.wording import Field, words

MAX_SLOTS = 100_000


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a MIG device, that a pilot may use.

    Args:
        uuid: what CUDA_VISIBLE_DEVICES is set to; an index where no UUID is known.
        model: for people and labels, "" if unknown.
        memory_bytes: None if unknown.
        is_busy: processes compute on it that are no jobs of the node, so none starts on it.
    """

    uuid: str
    model: str = ""
    memory_bytes: int | None = None
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class FoundResources:
    """What an agent finds on its machine, within its affinity and its control groups. None is unknown.

    Args:
        cpus: processors.
        memory_bytes: memory that jobs may use.
        scratch_bytes: the size of the file system of the scratch folder.
        architecture: as `uname -m` prints it.
        devices: the GPUs that are visible to the pilot, in order; None if their number cannot be told.
    """

    cpus: int | None = None
    memory_bytes: int | None = None
    scratch_bytes: int | None = None
    architecture: str = ""
    devices: tuple[Device, ...] | None = None


NOTHING_FOUND = FoundResources()
"""Of a pilot of an older version, or none."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The enabled and the maximum slots of one kind of a node: `enabled <= maximum`."""

    enabled: int
    maximum: int


@dataclass(frozen=True, slots=True)
class SlotsWanted:
    """Slots of one kind as requested; None for what was left out."""

    kind: str
    enabled: int | None = None
    maximum: int | None = None

    def over(self, now: Slots) -> Slots:
        """Return the slots after applying this to the current ones.

        Raises:
            BadInput: a number is out of range, or more are enabled than the maximum.
        """
        enabled = now.enabled if self.enabled is None else self.enabled
        maximum = now.maximum if self.maximum is None else self.maximum
        self._check(enabled, maximum)
        return Slots(enabled, maximum)

    def new(self) -> Slots:
        """Return the slots of a new node: by default none is enabled, and the maximum is what is enabled."""
        enabled = self.enabled or 0
        maximum = enabled if self.maximum is None else self.maximum
        self._check(enabled, maximum)
        return Slots(enabled, maximum)

    def _check(self, enabled: int, maximum: int) -> None:
        for number in (enabled, maximum):
            if not 0 <= number <= MAX_SLOTS:
                raise BadInput(f"a node cannot have {number} {self.kind} slots.")
        if enabled > maximum:
            wanted, most = _FIELDS[self.kind]
            raise BadInput(
                words(
                    f"{human.count(enabled, f'{self.kind} slot')} cannot be enabled (",
                    wanted,
                    f") of at most {maximum} (",
                    most,
                    ").",
                ),
                hint=words(most(enabled), " would allow it."),
            )


_FIELDS = {
    "CPU": (Field.CPU, Field.CPU_MAXIMUM),
    "GPU": (Field.GPU, Field.GPU_MAXIMUM),
}


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a person sets of a node besides its slots and its owner. What is left out stays as it is.

    Args:
        labels: to be added or replaced; one with an empty value is removed.
        memory_bytes: memory that jobs may use; 0 for all that the machine has.
        open_hours: when jobs may run (domain/opening_hours.py); "always" for no hours.
        nice: what is added to the niceness of jobs, 0 to 19.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int | None = None
    open_hours: str | None = None
    nice: int | None = None


UNCHANGED = NodeSettings()
"""Nothing is set."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine, with the last report of its pilot, and the user who started that. `jobs` counts its open attempts.

    Args:
        memory_bytes: what the operator enabled; None for all that is found.
        labels: those that a person has set.
        nice: what is added to the niceness of its jobs.
        open_hours: when jobs may run, None for always. `closes_at` is when they must end next, `opens_at` when it opens
            again, None while it is open; both as its pilot says.
        drain_at: when it will be drained, by whom (`drain_at_by`) and why.
        found: what its pilot finds.
        memory_in_use: what its jobs have asked for, in bytes.
        utc_offset: how far its clock is ahead of UTC, in seconds; None if its pilot has not said so.
        keeps_hours: its pilot knows hours; False of a pilot of an older version.
        pool: the pool that it belongs to, of a node that its pilot has made.
        ends_at: when the allocation of its pilot ends.
        gone_at: when that ended: the node is kept for the attempts that ran there, and never comes back.
    """

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
    troubles: tuple[Trouble, ...] = ()
    cpu_in_use: int = 0
    gpu_in_use: int = 0
    owner: str | None = None
    started_by: str | None = None
    jobs: int = 0
    memory_bytes: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    nice: int = 0
    open_hours: str | None = None
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    drain_at: datetime | None = None
    drain_at_by: str | None = None
    drain_at_reason: str | None = None
    found: FoundResources = NOTHING_FOUND
    memory_in_use: int = 0
    utc_offset: int | None = None
    keeps_hours: bool = True
    pool: str | None = None
    ends_at: datetime | None = None
    gone_at: datetime | None = None

    @property
    def state(self) -> str:
        """Its state in one word."""
        if self.online:
            return "drained" if self.drained_at else "online"
        return "gone" if self.gone_at else "offline"

    @property
    def memory_enabled(self) -> int | None:
        """Bytes that jobs may use; None if that is unknown."""
        limits = (self.memory_bytes, self.found.memory_bytes)
        return min((each for each in limits if each is not None), default=None)

    @property
    def zone(self) -> tzinfo | None:
        """The time zone of its clock at present; None if that is unknown."""
        return clock_zone(self.utc_offset)

    @property
    def kinds(self) -> tuple[tuple[str, Slots, int], ...]:
        """The kinds of slots: name, how many, and how many are in use."""
        return ("CPU", self.cpu, self.cpu_in_use), ("GPU", self.gpu, self.gpu_in_use)

    @property
    def slots_share(self) -> str | None:
        """A note if its operator has enabled more CPU slots than it has processors."""
        cpus = self.found.cpus
        if cpus is None or self.cpu.enabled <= cpus:
            return None
        enabled, has = human.count(self.cpu.enabled, "CPU slot"), human.count(cpus, "processor")
        return f"{enabled} enabled on {has}, which its jobs share"

    @property
    def message(self) -> str | None:
        """The problems that its pilot reports, in one line."""
        return troubles.message(self.troubles)


def clock_zone(utc_offset: int | None) -> tzinfo | None:
    """The time zone, at present, of a clock that is so many seconds ahead of UTC; None if that is unknown."""
    return None if utc_offset is None else timezone(timedelta(seconds=utc_offset))


@dataclass(frozen=True, slots=True)
class Keeper:
    """The parent process of jobs, as the database knows it. `jobs` counts its attempts."""

    id: UUID
    pid: int
    host: str
    version: str
    started_at: datetime
    fenced: bool
    jobs: int


@dataclass(frozen=True, slots=True)
class Pilot:
    """The pilot of a node. `jobs` counts the attempts on the node; `keepers` are oldest first.

    `silent` are the folders that do not answer there. `owner` is the node's owner; `started_by` is the user who started
    the pilot, None for a pilot of an older version. `pool` is that of the allocation that it runs in.
    """

    node: str
    host: str
    pid: int
    account: str
    version: str
    may_conduct: bool
    serve_all: bool
    leave: bool
    started_at: datetime
    seen_at: datetime
    online: bool
    conducts: bool
    jobs: int
    machine_id: str = ""
    boot_id: str = ""
    keepers: tuple[Keeper, ...] = ()
    silent: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    owner: str | None = None
    started_by: str | None = None
    pool: str | None = None

    @property
    def message(self) -> str | None:
        """The problems that it reports, in one line."""
        return troubles.message(self.troubles)
