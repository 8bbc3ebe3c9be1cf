"""How many more jobs amounts allow that are not places on a node, such as what a user's limits leave. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from sys import maxsize

from orchestra.domain.resources import WHOLE, Request
from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class Allowance:
    """What jobs may take together. None is no limit; below zero: more is taken than is allowed."""

    cpus: int | None = None
    gpu_milli: int | None = None
    memory_bytes: int | None = None
    scratch_bytes: int | None = None
    jobs: int | None = None

    def count(self, request: Request) -> int:
        """How many jobs with the same request are allowed."""
        pairs = zip(self._amounts(), _taken(request), strict=True)
        most = (left // taken for left, taken in pairs if left is not None and taken)
        return max(0, min(most, default=maxsize))

    def after(self, request: Request, jobs: int) -> Allowance:
        """What is left beside so many jobs."""
        pairs = zip(self._amounts(), _taken(request), strict=True)
        return Allowance(*(None if left is None else left - jobs * taken for left, taken in pairs))

    def is_used_up(self, queue: Queue) -> bool:
        """Whether no job of a queue is allowed, whatever it takes."""
        always = Request(cpus=1) if queue is Queue.CPU else Request(gpu_milli=1)
        return self.count(always) == 0

    def _amounts(self) -> tuple[int | None, ...]:
        return self.cpus, self.gpu_milli, self.memory_bytes, self.scratch_bytes, self.jobs


def _taken(request: Request) -> tuple[int, ...]:
    milli = request.gpu_milli or request.gpus * WHOLE
    return request.cpus, milli, request.memory_bytes, request.scratch_bytes, 1
