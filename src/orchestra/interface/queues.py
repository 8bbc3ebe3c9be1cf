"""Questions about queues."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.states import Queue
from orchestra.interface.answers.order import QueueOrder
from orchestra.interface.answers.queues import QueueReport
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ShowQueue(Question[QueueReport]):
    """The running jobs of a queue, and the next waiting ones."""

    queue: Queue


@dataclass(frozen=True, slots=True)
class ShowOrder(Question[QueueOrder]):
    """In which order waiting jobs start, and why: users, tasks, and nodes that wait for jobs that fit on none now."""
