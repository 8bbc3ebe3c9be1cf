"""The allocation of a pool in which a pilot runs: what it is told at its start, and what it knows of it now."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf

from orchestra.domain.models.nodes import FoundResources
from orchestra.domain.models.pilots import AllocationNews
from orchestra.domain.models.pools import AllocationHello
from orchestra.domain.pools import ending
from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class Lent:
    """An allocation, as its pilot is told of it.

    Args:
        hello: what the database is told. Its end is read by the pilot.
        queue: whose jobs the pilot claims.
        cpus, memory_bytes: what the engine says that it may use here; None for no word.
        read_end: asks the engine when the allocation ends; None if that is unknown. It may take as long as a command
            of the engine, and raise any error.
        is_allocations: whether a variable of the environment describes the allocation, so that no job inherits it.
        kill_wait: seconds between TERM and KILL of the engine.
        ending: seconds before its end at which the engine sends TERM.
    """

    hello: AllocationHello
    queue: Queue = Queue.CPU
    cpus: int | None = None
    memory_bytes: int | None = None
    read_end: Callable[[], datetime | None] = lambda: None
    is_allocations: Callable[[str], bool] = lambda _: False
    kill_wait: float = ending.KILL_WAIT
    ending: float = ending.MARGIN

    def share(self, found: FoundResources, machine: int | None = None) -> FoundResources:
        """Return what the pilot may use of what it finds on the machine.

        Args:
            machine: the processors of the machine, by default of this one. Where nothing keeps the pilot from using
                all of them, it takes the engine's word, which may be more: a site can have Slurm hand out more CPUs
                than a machine has (`SlurmdParameters=config_overrides`).
        """
        is_bound = (found.cpus or 0) < (machine or os.cpu_count() or 1)
        return replace(
            found,
            cpus=_least(found.cpus, self.cpus) if is_bound else self.cpus or found.cpus,
            memory_bytes=_least(found.memory_bytes, self.memory_bytes),
        )


def _least(*amounts: int | None) -> int | None:
    return min((amount for amount in amounts if amount), default=None)


@dataclass(slots=True)
class LentState:
    """What a pilot knows of its allocation now.

    Args:
        ends_at: None if that is not known.
        is_read: the engine has been asked when that is.
        idle: seconds without a job after which the pilot asks whether it may leave; None before it has attached.
        has_run: an attempt has begun here.
        told: what the database knows of these.
    """

    lent: Lent
    ends_at: datetime | None = None
    is_read: bool = False
    idle: float | None = None
    has_run: bool = False
    margin: float = ending.MARGIN
    told: tuple[datetime | None, bool] = (None, False)

    def learn_end(self, ends_at: datetime | None) -> None:
        """Note what the engine says of the end; the margin is that of the first time."""
        if ends_at and self.ends_at is None:
            self.margin = ending.margin((ends_at - _now()).total_seconds())
        self.ends_at, self.is_read = ends_at or self.ends_at, True

    @property
    def left(self) -> float:
        """The seconds until its end, infinite if that is not known."""
        return (self.ends_at - _now()).total_seconds() if self.ends_at else inf

    @property
    def seconds_left(self) -> float:
        """The seconds within which jobs that start now must have ended."""
        return max(0.0, self.left - self.margin)

    @property
    def hello(self) -> AllocationHello:
        """What the database is told at an attach."""
        return replace(self.lent.hello, ends_at=self.ends_at)

    @property
    def now(self) -> tuple[datetime | None, bool]:
        """What there is to tell."""
        return self.ends_at, self.has_run

    @property
    def news(self) -> AllocationNews:
        """What the database does not know yet."""
        told_end, told_run = self.told
        return AllocationNews(
            self.lent.hello.id,
            self.ends_at if self.ends_at != told_end else None,
            self.has_run and not told_run,
        )


def _now() -> datetime:
    return datetime.now(UTC)
