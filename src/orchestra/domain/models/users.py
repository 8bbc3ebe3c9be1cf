"""Users."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class UserLimits:
    """What the running jobs of a user may take together. None is no limit.

    Args:
        cpus: CPU slots.
        gpu_milli: thousandths of GPUs.
        running: jobs.
    """

    cpus: int | None = None
    gpu_milli: int | None = None
    running: int | None = None


NO_LIMITS = UserLimits()


class UserLimit(StrEnum):
    """A limit of a user that can be removed."""

    CPUS = "cpus"
    GPUS = "gpus"
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class NewLimits:
    """New limits and shares of a user. None leaves a value as it is; the limits in `removed` are taken away."""

    cpus: int | None = None
    gpu_milli: int | None = None
    running: int | None = None
    shares: float | None = None
    removed: tuple[UserLimit, ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A user. `shares` is their weight in the order between users."""

    id: int
    name: str
    email: str
    is_admin: bool
    created_at: datetime
    mail: bool = True
    shares: float = 1.0
    limits: UserLimits = NO_LIMITS
