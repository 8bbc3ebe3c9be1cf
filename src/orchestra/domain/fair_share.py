"""How much of the nodes each user uses and has used, for their share of turns. Pure.

Everything is counted in CPU slots: a job costs the largest of its CPU slots, its memory and its GPUs, each as the CPU
slots that come with as much of it on the nodes. Recent use is HTCondor's: p <- b p + (1 - b) use with
b = 0.5 ^ (time / half-life).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestra.domain.resources import WHOLE, Request

HALF_LIFE = 86_400.0
"""Seconds in which recent use counts half."""
RECENT_WEIGHT = 1.0
"""What recent use counts beside what is in use."""
LONGEST_STEP = 300.0
"""Seconds for which jobs count as in use since the last look. Before that, nobody looked: recent use only decays."""


@dataclass(frozen=True, slots=True)
class Load:
    """What jobs take together: `exclusive` of them have a node for themselves."""

    jobs: int = 0
    cpus: int = 0
    gpu_milli: int = 0
    memory_bytes: int = 0
    exclusive: int = 0

    @classmethod
    def of(cls, request: Request, jobs: int = 1) -> Load:
        """What so many jobs with the same request take."""
        milli = request.gpu_milli or request.gpus * WHOLE
        return cls(
            jobs,
            jobs * request.cpus,
            jobs * milli,
            jobs * request.memory_bytes,
            jobs * request.exclusive,
        )

    def __add__(self, other: Load) -> Load:
        return Load(
            self.jobs + other.jobs,
            self.cpus + other.cpus,
            self.gpu_milli + other.gpu_milli,
            self.memory_bytes + other.memory_bytes,
            self.exclusive + other.exclusive,
        )


NO_LOAD = Load()


@dataclass(frozen=True, slots=True)
class Size:
    """What a node offers: CPU slots, GPUs, and memory, None if that is unknown."""

    cpus: int
    gpus: int = 0
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """What memory, GPUs and whole nodes cost.

    Args:
        memory_a_cpu: bytes of memory for each CPU slot of the nodes; None if unknown, then memory costs nothing.
        cpus_a_gpu: CPU slots for each GPU of the nodes that have GPUs; at least 1.
        cpus_a_node: CPU slots of a node.
    """

    memory_a_cpu: float | None = None
    cpus_a_gpu: float = 1.0
    cpus_a_node: float = 1.0

    @classmethod
    def of(cls, nodes: Iterable[Size]) -> Rates:
        """The rates of these nodes together."""
        sizes = list(nodes)
        known = [size for size in sizes if size.memory_bytes and size.cpus]
        cpus = sum(size.cpus for size in known)
        memory = sum(size.memory_bytes or 0 for size in known)
        gpus = sum(size.gpus for size in sizes)
        beside_gpus = sum(size.cpus for size in sizes if size.gpus)
        return cls(
            memory_a_cpu=memory / cpus if cpus else None,
            cpus_a_gpu=max(1.0, beside_gpus / gpus) if gpus else 1.0,
            cpus_a_node=max(1.0, sum(size.cpus for size in sizes) / max(1, len(sizes))),
        )

    def cost(self, load: Load) -> float:
        """Return what jobs cost, in CPU slots."""
        return max(
            float(load.cpus),
            load.memory_bytes / self.memory_a_cpu if self.memory_a_cpu else 0.0,
            load.gpu_milli / WHOLE * self.cpus_a_gpu,
            load.exclusive * self.cpus_a_node,
        )


@dataclass(frozen=True, slots=True)
class Share:
    """What decides whose turn it is: what a user's jobs cost now, what they cost lately, and the user's shares."""

    in_use: float = 0.0
    lately: float = 0.0
    shares: float = 1.0

    @property
    def score(self) -> float:
        """The use for each share. The user with the lowest goes first."""
        return (self.in_use + RECENT_WEIGHT * self.lately) / self.shares


def used_lately(lately: float, in_use: float, seconds: float) -> float:
    """Return the recent use after so many seconds with `in_use`; a clock that was set back changes nothing.

    Of a long time in which no conductor ran, only the end counts as in use.
    """
    seconds = max(0.0, seconds)
    step = min(seconds, LONGEST_STEP)
    return _kept(seconds) * lately + (1.0 - _kept(step)) * in_use


def _kept(seconds: float) -> float:
    """The part of recent use that is left after so many seconds."""
    return float(0.5 ** (seconds / HALF_LIFE))
