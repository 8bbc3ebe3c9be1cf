"""What a job needs of a node, and what nodes offer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from orchestra.domain import images
from orchestra.domain.expected_time import expected_seconds
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.placement import ANYWHERE, Placement
from orchestra.domain.models.tasks import Policy, Resources, Task
from orchestra.domain.resources import Request, Room
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble


@dataclass(frozen=True, slots=True)
class Need:
    """What one job of a task needs from a node.

    Args:
        slots: of its queue.
        revised: its task was changed, which older pilots do not know.
        seconds: how long it may take, with the grace for its end; None if that is unknown.
        request: all that it takes of the node, None if only slots count.
        asks_more: it asks for more than slots and memory limits, which older pilots do not know either.
    """

    queue: Queue
    slots: int
    account: str
    image: str | None = None
    revised: bool = False
    seconds: float | None = None
    request: Request | None = None
    placement: Placement = ANYWHERE
    asks_more: bool = False

    @classmethod
    def of(cls, task: Task) -> Need:
        """What each job of a task needs."""
        need = cls.of_resources(task.queue, task.resources, task.account, task.image)
        seconds = _seconds(task.policy, task.p95_seconds)
        return replace(need, revised=task.revision > 1, seconds=seconds).at(task.placement)

    @classmethod
    def of_new(cls, new: NewTask) -> Need:
        """What each job of a task that is not created yet needs."""
        need = cls.of_resources(new.queue, new.resources, new.account, new.image)
        return replace(need, seconds=_seconds(new.policy, None)).at(new.placement)

    def at(self, placement: Placement) -> Need:
        """The same, on certain nodes."""
        more = self.asks_more or placement != ANYWHERE
        return replace(self, placement=placement, asks_more=more)

    @classmethod
    def of_resources(
        cls, queue: Queue, resources: Resources, account: str, image: str | None
    ) -> Need:
        slots = resources.gpus if queue is Queue.GPU else resources.cores
        return cls(
            queue,
            max(1, slots),
            account,
            image,
            request=Request.of(queue, resources),
            asks_more=resources.asks_more,
        )

    @property
    def is_news(self) -> bool:
        """Whether pilots of an older version do not run it."""
        return self.revised or self.asks_more

    @property
    def kind(self) -> str:
        """The kind of slot for people: `CPU` or `GPU`."""
        return self.queue.value.upper()


def _seconds(policy: Policy, p95: float | None) -> float | None:
    expected = expected_seconds(policy.walltime, policy.timeout, p95)
    return None if expected is None else expected + policy.grace


@dataclass(frozen=True, slots=True)
class NodeOffer:
    """What a node offers to the jobs of a queue.

    Args:
        enabled, in_use: slots of that queue.
        account: the Unix account of its pilot, None if it never had one.
        serves_all: the pilot takes tasks of all accounts, not only its own.
        runtimes: the container runtimes of the node, with versions.
        silent_for: seconds since the pilot's last heartbeat, None if it never had one.
        leaving: the pilot takes no new jobs.
        troubles: the problems that the pilot reports.
        knows_revisions: the pilot runs tasks that were changed.
        open_for: seconds for which it is open without a break, at most; None for always.
        opens_in: seconds until it opens; None while it is open.
        seconds_left: seconds within which jobs must have ended, because it closes or will be drained; None if neither.
        keeps_for: the task for whose next job its free slots are reserved.
        room: what jobs may take of it when it is idle, None if unknown.
        labels: those that a person has set, and those that were found.
        only: the queue from which alone its pilot takes jobs, None for both.
    """

    node: str
    enabled: int
    in_use: int = 0
    online: bool = False
    drained_at: datetime | None = None
    drained_by: str | None = None
    drain_reason: str | None = None
    account: str | None = None
    serves_all: bool = False
    runtimes: tuple[str, ...] = ()
    silent_for: float | None = None
    leaving: bool = False
    troubles: tuple[Trouble, ...] = ()
    keeps_for: int | None = None
    knows_revisions: bool = True
    open_for: float | None = None
    opens_in: float | None = None
    seconds_left: float | None = None
    room: Room | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    only: Queue | None = None

    @property
    def free(self) -> int:
        return max(0, self.enabled - self.in_use)

    def has_time(self, need: Need) -> bool:
        """Whether such a job can end in time there; one of unknown length may be ended when the node closes."""
        return (
            self.seconds_left is None or need.seconds is None or need.seconds <= self.seconds_left
        )

    def serves(self, account: str, image: str | None) -> bool:
        """Whether its pilot takes tasks of a Unix account and can run their image."""
        fits = image is None or any(images.runs(runtime, image) for runtime in self.runtimes)
        return (self.serves_all or self.account == account) and fits
