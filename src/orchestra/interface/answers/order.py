"""The order in which waiting jobs start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.models.queues import ReservedNode
from orchestra.domain.models.users import UserLimits
from orchestra.domain.states import Queue
from orchestra.domain.wording import Sentence


@dataclass(frozen=True, slots=True)
class UserInOrder:
    """A user with jobs that run or wait.

    Args:
        shares: the weight between users.
        in_use, lately: what the user's jobs cost now, and what they cost lately, in CPU slots.
        score: both together for each share. Who has the lowest is next.
        running, waiting: jobs.
    """

    name: str
    shares: float
    in_use: float
    lately: float
    score: float
    running: int
    waiting: int
    limits: UserLimits


@dataclass(frozen=True, slots=True)
class TaskInOrder:
    """A task with waiting jobs.

    Args:
        place: in its queue, from 1 on; None if its jobs do not start now.
        running, waiting: jobs.
        why: why it has this place, or none.
        starts_at: when its next job is expected to start, if a node waits for it.
    """

    place: int | None
    queue: Queue
    id: int
    name: str
    owner: str
    priority: int
    running: int
    waiting: int
    why: Sentence
    starts_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueOrder:
    """Users by score, tasks by queue and place, and the nodes that wait. `conductor`: whether there is one."""

    users: tuple[UserInOrder, ...]
    tasks: tuple[TaskInOrder, ...]
    reserved: tuple[ReservedNode, ...]
    conductor: bool
    now: datetime
