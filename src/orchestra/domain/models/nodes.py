"""Machines and their slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


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
