"""Machines, their slots, and what runs on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from orchestra.domain import human, troubles
from orchestra.domain.errors import BadInput
from orchestra.domain.troubles import Trouble
from orchestra.domain.wording import Field, words

MAX_SLOTS = 100_000


@dataclass(frozen=True, slots=True)
class Slots:
    """How many slots of one kind a node offers now, and at most: `enabled <= maximum`."""

    enabled: int
    maximum: int


@dataclass(frozen=True, slots=True)
class SlotsWanted:
    """Slots of one kind as somebody typed them; None is what was left out."""

    kind: str
    enabled: int | None = None
    maximum: int | None = None

    def over(self, now: Slots) -> Slots:
        """Give the slots that these make of the present ones.

        Raises:
            BadInput: they are negative, or more are enabled than there can be.
        """
        enabled = now.enabled if self.enabled is None else self.enabled
        maximum = now.maximum if self.maximum is None else self.maximum
        self._check(enabled, maximum)
        return Slots(enabled, maximum)

    def new(self) -> Slots:
        """Give the slots of a new node: none are enabled unless said, and the maximum is what is enabled."""
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
    troubles: tuple[Trouble, ...] = ()
    cpu_in_use: int = 0
    gpu_in_use: int = 0
    owner: str | None = None

    @property
    def message(self) -> str | None:
        """What its pilot has to say of itself, in one line."""
        return troubles.message(self.troubles)


@dataclass(frozen=True, slots=True)
class Keeper:
    """A parent of jobs, as the database knows it. `jobs` counts the attempts that it holds."""

    id: UUID
    pid: int
    host: str
    version: str
    started_at: datetime
    fenced: bool
    jobs: int


@dataclass(frozen=True, slots=True)
class Pilot:
    """What runs on a node. `jobs` counts the attempts that the node holds; `keepers` are oldest first.

    `silent` are the folders that do not answer there. `owner` is the node's; `started_by` is the user
    who started the pilot, None where an older version did.
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

    @property
    def message(self) -> str | None:
        """What it has to say of itself, in one line."""
        return troubles.message(self.troubles)
