"""Questions about queues."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.states import Queue
from orchestra.interface.answers.queues import QueueReport
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ShowQueue(Question[QueueReport]):
    """The running jobs of a queue, and the next waiting ones."""

    queue: Queue
