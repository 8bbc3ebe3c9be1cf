"""A cluster at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.attention import Attention
from orchestra.domain.models.overview import HourlyEnds, QueueUse
from orchestra.domain.models.pools import Pool
from orchestra.interface.answers.tasks import TaskLine


@dataclass(frozen=True, slots=True)
class Overview:
    """What runs, what needs attention, and how the machines are.

    Args:
        attention: what needs a person; empty when all is well.
        live: the newest live tasks, newest first; there are `live_tasks` of them.
        hours: the jobs that ended in each of the last 24 hours, oldest first.
        pools: those of the queue cpu first.
    """

    now: datetime
    attention: tuple[Attention, ...]
    live: tuple[TaskLine, ...]
    live_tasks: int
    queues: tuple[QueueUse, ...]
    nodes: int
    nodes_online: int
    hours: tuple[HourlyEnds, ...]
    pools: tuple[Pool, ...] = ()
