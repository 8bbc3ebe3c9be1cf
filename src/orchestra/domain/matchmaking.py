"""Which nodes can run a job, and why none can. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from orchestra.domain import images
from orchestra.domain.expected_time import expected_seconds
from orchestra.domain.human import count, duration, relative
from orchestra.domain.models.tasks import Resources, Task
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble
from orchestra.domain.wording import Action, Field, Sentence, words


@dataclass(frozen=True, slots=True)
class Need:
    """What one job of a task needs from a node.

    Args:
        revised: its task was changed, which older pilots do not know.
        seconds: how long it may take, with the grace for its end; None if that is unknown.
    """

    queue: Queue
    slots: int
    account: str
    image: str | None = None
    revised: bool = False
    seconds: float | None = None

    @classmethod
    def of(cls, task: Task) -> Need:
        """What each job of a task needs."""
        need = cls.of_resources(task.queue, task.resources, task.account, task.image)
        policy = task.policy
        expected = expected_seconds(policy.walltime, policy.timeout, task.p95_seconds)
        seconds = None if expected is None else expected + policy.grace
        return replace(need, revised=task.revision > 1, seconds=seconds)

    @classmethod
    def of_resources(
        cls, queue: Queue, resources: Resources, account: str, image: str | None
    ) -> Need:
        slots = resources.gpus if queue is Queue.GPU else resources.cores
        return cls(queue, max(1, slots), account, image)

    @property
    def kind(self) -> str:
        """The kind of slot for people: `CPU` or `GPU`."""
        return self.queue.value.upper()


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
        opens_in: seconds until it opens; None while it is open.
        seconds_left: seconds within which jobs must have ended, because it closes or will be drained; None if neither.
        keeps_for: the task for whose next job its free slots are reserved.
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
    opens_in: float | None = None
    seconds_left: float | None = None

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


def eligible(need: Need, offers: Sequence[NodeOffer]) -> list[NodeOffer]:
    """Return the nodes on which such a job can start, perhaps after another one has ended."""
    return [
        offer
        for offer in offers
        if offer.enabled >= need.slots
        and offer.online
        and offer.drained_at is None
        and not offer.leaving
        and offer.opens_in is None
        and offer.has_time(need)
        and offer.serves(need.account, need.image)
        and (offer.knows_revisions or not need.revised)
    ]


def why_no_node(need: Need, offers: Sequence[NodeOffer]) -> Sentence | None:
    """Say why no node can run such a job; None if one can.

    The nodes are filtered step by step; the step that leaves none is the reason.
    """
    if not offers:
        return words(
            "There is no node yet: ",
            Action.START_ALL,
            ", or ",
            Action.CREATE_NODE,
            " and ",
            Action.RUN_PILOT,
            ".",
        )
    left = list(offers)
    for keep, reason in _steps(need):
        kept = [offer for offer in left if keep(offer)]
        if not kept:
            return reason(left)
        left = kept
    return None


_Step = tuple[Callable[[NodeOffer], bool], Callable[[Sequence[NodeOffer]], Sentence]]


def _steps(need: Need) -> Iterator[_Step]:
    kind = need.kind
    yield lambda p: p.enabled > 0, lambda _: f"No node has an enabled {kind} slot."
    yield (
        lambda p: p.enabled >= need.slots,
        lambda left: (
            f"A job needs {count(need.slots, f'{kind} slot')}; no node has more than "
            f"{max(offer.enabled for offer in left)}."
        ),
    )
    yield (
        lambda p: p.online,
        lambda _: words(
            f"No pilot is online on a node with enough {kind} slots: ", Action.RUN_PILOT, "."
        ),
    )
    yield (
        lambda p: p.drained_at is None,
        lambda _: words(f"Every node with {kind} slots is drained: ", Action.LIST_NODES, "."),
    )
    yield (
        lambda p: p.opens_in is None,
        lambda left: (
            f"Every node with {kind} slots is closed; the first opens {relative(_first_opens(left))}."
        ),
    )
    yield (
        lambda p: p.has_time(need),
        lambda left: (
            f"A job may take {duration(need.seconds or 0)}, with its grace; every node with {kind} slots closes or is "
            f"drained before, the last {relative(max(offer.seconds_left or 0 for offer in left))}."
        ),
    )
    yield (
        lambda p: not p.leaving,
        lambda _: words(
            f"Every pilot of a node with {kind} slots is stopping: ", Action.LIST_PILOTS, "."
        ),
    )
    yield (
        lambda p: p.serves(need.account, None),
        lambda _: _no_pilot_of(need.account),
    )
    yield (
        lambda p: p.serves(need.account, need.image),
        lambda _: f"No node has a container runtime for the image {need.image}.",
    )
    yield (
        lambda p: p.knows_revisions or not need.revised,
        lambda _: words(
            "The task was changed, and pilots of an older version do not run it. Start one of this version: ",
            Action.RUN_PILOT,
            ".",
        ),
    )


def _first_opens(offers: Sequence[NodeOffer]) -> float:
    return min(offer.opens_in for offer in offers if offer.opens_in is not None)


def _no_pilot_of(account: str) -> Sentence:
    if not account:
        return words(
            "The task has no Unix account, because none was proven to the server when it was created. Start a pilot "
            "with ",
            Field.SERVE_ALL(True),
            ", or create the task with a token of your own account.",
        )
    return words(
        f'No pilot serves the Unix account "{account}". Start one as that account, or any with ',
        Field.SERVE_ALL(True),
        ".",
    )
