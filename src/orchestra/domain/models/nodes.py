"""Machines and their slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.domain import troubles

if TYPE_CHECKING:
    from datetime import datetime

    from orchestra.domain.troubles import Trouble


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
    troubles: tuple[Trouble, ...] = ()
    cpu_in_use: int = 0
    gpu_in_use: int = 0

    @property
    def message(self) -> str | None:
        """What its pilot has to say of itself, in one line."""
        return troubles.message(self.troubles)
