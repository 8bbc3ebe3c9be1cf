"""The explanation of a job that is claimed or running."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.domain import troubles
from orchestra.domain.explanation.facts import Facts, by_whom
from orchestra.domain.explanation.history import earlier_attempts
from orchestra.domain.human import duration, relative
from orchestra.domain.states import TaskState
from orchestra.domain.wording import Action, Sentence, words

SILENT = 60.0
"""Seconds after which a keeper is assumed to be cut off."""


def claimed(facts: Facts) -> str:
    """The predicate of a claimed job."""
    latest = facts.latest
    if latest is None:
        return "was claimed by a pilot and has not started yet"
    return (
        f"was claimed by node {latest.node} {facts.ago(latest.claimed_at)} and has not started yet"
    )


def about_claimed(facts: Facts) -> Iterator[Sentence]:
    """Yield what it still waits for."""
    yield from _to_be_ended(facts)
    if facts.latest:
        number = facts.latest.number
        image = "its image is prepared, " if facts.task.image else ""
        yield f"It will be attempt {number}; before that, {image}its folder is created and its inputs are checked."
    yield from _of_image(facts)
    yield from facts.held_up
    yield from _lease(facts)
    yield from earlier_attempts(facts, but_last=True)


def _of_image(facts: Facts) -> Iterator[str]:
    """Yield what the node's pilot reports about its image."""
    offer = next((p for p in facts.offers if facts.latest and p.node == facts.latest.node), None)
    if offer and (trouble := troubles.of_image(offer.troubles, facts.task.id, facts.task.image)):
        yield f"The pilot of node {offer.node} says: {trouble.text}"


def running(facts: Facts) -> str:
    """The predicate of a running job."""
    latest = facts.latest
    if latest is None:
        return "is running"
    for_ = f" for {facts.since(latest.started_at)}" if latest.started_at else ""
    return f"has been running on node {latest.node}{for_}"


def about_running(facts: Facts) -> Iterator[Sentence]:
    """Yield what is known about the current attempt."""
    yield from _to_be_ended(facts)
    latest = facts.latest
    if latest is None:
        return
    several = "s" if "," in (latest.devices or "") else ""
    devices = f" on device{several} {latest.devices}" if latest.devices else ""
    test = ", as a test job" if latest.is_test else ""
    started = f", started {latest.started_at:%Y-%m-%d %H:%M:%S} UTC" if latest.started_at else ""
    yield f"This is attempt {latest.number}{devices}{test}{started}."
    yield from facts.held_up
    yield from _durations(facts)
    yield from _lease(facts)
    yield f"Its folder: {latest.folder}"
    yield words("Its log: ", Action.FOLLOW_LOG(task=facts.task.id, job=facts.job.index))
    yield from earlier_attempts(facts, but_last=True)


def _durations(facts: Facts) -> Iterator[str]:
    typical, limit = facts.task.typical_seconds, facts.task.policy.timeout
    if typical:
        yield f"Jobs of this task usually take {duration(typical)}."
    started = facts.latest.started_at if facts.latest else None
    if limit and started:
        left = limit - (facts.now - started).total_seconds()
        when = relative(left) if left > 0 else "now"
        yield f"If it still runs after {duration(limit)}, it is ended ({when})."


def _to_be_ended(facts: Facts) -> Iterator[str]:
    if not facts.job.kill_requested:
        return
    if facts.job.removed:
        yield "It is being ended because its config is no longer among the files of its task."
    elif facts.asked is None and facts.job.is_test and facts.task.state is TaskState.TESTING:
        yield "It is being ended because another test job of its task failed."
    else:
        yield f"It is being ended, as requested{by_whom(facts.asked, facts)}."


def _lease(facts: Facts) -> Iterator[Sentence]:
    """Yield what happens to it if its node is silent."""
    lease, latest = facts.keeper_lease, facts.latest
    if lease is None or latest is None or lease.silent_for < SILENT:
        return
    yield f"Its node was last seen {relative(-lease.silent_for)}; the job may still be running there."
    lose = Action.LOSE_NODE(name=latest.node)
    if lease.lease_left is None:
        yield words("It does not run on another node until an admin runs: ", lose)
    else:
        when = relative(lease.lease_left) if lease.lease_left > 0 else "soon"
        yield words(
            f"It runs on another node a few minutes after its lease expires ({when}); at once with: ",
            lose,
        )
