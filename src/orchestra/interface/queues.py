"""What can be asked about queues."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.states import Queue
from orchestra.interface.answers.queues import QueueReport
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ShowQueue(Question[QueueReport]):
    """What runs on a queue, and the next jobs that wait."""

    queue: Queue
