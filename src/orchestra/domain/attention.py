"""What in a cluster needs a person, each with its one remedy. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from orchestra.domain import dependencies
from orchestra.domain.human import count, duration
from orchestra.domain.matchmaking import Need, NodeOffer, why_no_node
from orchestra.domain.models.cluster import Recovery
from orchestra.domain.models.nodes import Pilot
from orchestra.domain.models.tasks import Hold, Task
from orchestra.domain.pools.prospects import Prospect, fitting, is_coming, why_no_pilot
from orchestra.domain.states import HoldCause, Queue, TaskState
from orchestra.domain.task_text import counts_in_words
from orchestra.domain.troubles import Kind, Stuck, named
from orchestra.domain.wording import Action, Sentence, Term, words


class Concern(StrEnum):
    """What needs attention."""

    RECOVERY = "recovery"
    PILOTS = "pilots"
    CONDUCTOR = "conductor"
    TASK_HELD = "task_held"
    TASK_FAILED = "task_failed"
    TASK_WAITS = "task_waits"
    NODE_OFFLINE = "node_offline"
    NODE_TROUBLE = "node_trouble"
    MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing that needs a person.

    Args:
        what: one sentence without a full stop.
        remedy: the one action that helps; None if there is none, or if the sentence names it.
        task, node: what it is about, and `owner` whose it is.
    """

    concern: Concern
    what: Sentence
    remedy: Term | None = None
    task: int | None = None
    node: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class EndedTask:
    """A task that has ended with jobs that are not done, and what its last event says about it."""

    task: Task
    why: str | None


@dataclass(frozen=True, slots=True)
class LateMail:
    """Mails that were set aside or could not be sent yet, and the error of the latest one."""

    refused: int = 0
    delayed: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What `needs` looks at. `ended` are tasks with failures that nobody has acknowledged."""

    now: datetime
    recovery: Recovery | None
    conductor: bool
    stuck: Sequence[Stuck]
    live: Sequence[Task]
    ended: Sequence[EndedTask]
    pilots: Sequence[Pilot]
    offers: Mapping[Queue, Sequence[NodeOffer]]
    mail: LateMail
    pools: Mapping[Queue, Sequence[Prospect]] = field(default_factory=dict)


_TOLD = frozenset(
    {
        Kind.ROOM, Kind.SILENT, Kind.KEEPER, Kind.REPORTS, Kind.UNKNOWN_ATTEMPTS, Kind.RUNTIME, Kind.DATABASE,
        Kind.CONDUCTOR, Kind.GPU, Kind.OTHER,
    }
)  # fmt: skip
"""Troubles of a pilot that need somebody; the others are about one task, or pass by themselves."""


def needs(facts: Facts) -> Iterator[Attention]:
    """Yield what needs attention, what concerns everybody first."""
    yield from _cluster(facts)
    for task in facts.live:
        yield from _live(task, facts)
    for each in facts.ended:
        yield _ended(each)
    for pilot in facts.pilots:
        yield from _pilot(pilot, facts.now)
    yield from _mail(facts.mail)


def _cluster(facts: Facts) -> Iterator[Attention]:
    if facts.recovery:
        yield Attention(Concern.RECOVERY, f"The database is recovering: {facts.recovery}")
    if _nobody_online(facts):
        if facts.live and not any(facts.pools.values()):
            what = "No pilot is online, so no job starts"
            yield Attention(Concern.PILOTS, what, Action.RUN_PILOT())
    elif not facts.conductor:
        what = "There is no conductor, so no task makes progress"
        yield Attention(Concern.CONDUCTOR, what, Action.RUN_PILOT())
    for stuck in facts.stuck:
        task = stuck.what if isinstance(stuck.what, int) else None
        what = f"The conductor cannot continue with {named(stuck.what)}: {stuck.why}"
        yield Attention(Concern.CONDUCTOR, what, task=task)


def _nobody_online(facts: Facts) -> bool:
    return not any(pilot.online for pilot in facts.pilots)


def _live(task: Task, facts: Facts) -> Iterator[Attention]:
    title, counts = _title(task), task.counts
    if task.hold:
        what = f"{title} is held by {task.hold.by}: {task.hold.reason}"
        yield _of_task(Concern.TASK_HELD, task, what, _after_hold(task, task.hold))
        return
    if task.after:
        if any(dependencies.is_stuck(each) for each in task.after):
            what = f"{title} cannot begin: {dependencies.short(task.after)}"
            yield _of_task(Concern.TASK_WAITS, task, what, Action.SHOW_TASK(task=task.id))
        return
    waits = counts.registered + counts.assigned
    if not waits or counts.living or task.state is TaskState.KILL:
        return
    if _nobody_online(facts) and not facts.pools.get(task.queue):
        return
    # That nodes are closed now is what somebody wants.
    offers = [replace(o, opens_in=None, seconds_left=None) for o in facts.offers[task.queue]]
    need, pools = Need.of(task), facts.pools.get(task.queue, ())
    why = why_no_node(need, offers)
    if why is None or is_coming(pools, need):
        return
    said = next(why_no_pilot(fitting(pools, need), need), why)
    yield _of_task(Concern.TASK_WAITS, task, words(f"{title} cannot start. ", said), None)


def _after_hold(task: Task, hold: Hold) -> Term:
    if hold.cause is HoldCause.FILES:
        return Action.UPDATE_TASK(task=task.id)
    return Action.RELEASE_TASK(task=task.id)


def _ended(each: EndedTask) -> Attention:
    task = each.task
    what = f"{_title(task)} has ended: {counts_in_words(task.counts, task.removed)}"
    if task.state is TaskState.BROKEN:
        what = f"{_title(task)} broke in its test" + (f": {each.why}" if each.why else "")
    return _of_task(Concern.TASK_FAILED, task, what, Action.RETRY_TASK(task=task.id))


def _of_task(concern: Concern, task: Task, what: Sentence, remedy: Term | None) -> Attention:
    return Attention(concern, what, remedy, task=task.id, owner=task.owner)


def _pilot(pilot: Pilot, now: datetime) -> Iterator[Attention]:
    if not pilot.online:
        if pilot.jobs:
            since = duration((now - pilot.seen_at).total_seconds())
            what = f"Node {pilot.node} was last heard of {since} ago; {count(pilot.jobs, 'job')} at stake"
            remedy = Action.LOSE_NODE(name=pilot.node)
            yield Attention(Concern.NODE_OFFLINE, what, remedy, node=pilot.node, owner=pilot.owner)
        return
    for trouble in pilot.troubles:
        if trouble.kind in _TOLD:
            what = f"Node {pilot.node}: {trouble.text}"
            yield Attention(Concern.NODE_TROUBLE, what, node=pilot.node, owner=pilot.owner)


def _mail(mail: LateMail) -> Iterator[Attention]:
    late = mail.refused + mail.delayed
    if not late:
        return
    how = "could not be delivered" if mail.refused else "could not be delivered yet"
    what = f"{count(late, 'mail')} {how}" + (f": {mail.error}" if mail.error else "")
    yield Attention(Concern.MAIL, what, Action.LIST_MAILS())


def _title(task: Task) -> str:
    return f"Task {task.id} ({task.name})"
