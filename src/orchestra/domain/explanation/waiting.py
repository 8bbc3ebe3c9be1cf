"""The explanation of a job that is waiting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from orchestra.domain import dependencies, forecast
from orchestra.domain.explanation.facts import Facts, by_whom
from orchestra.domain.explanation.history import earlier_attempts
from orchestra.domain.explanation.nodes import about_nodes
from orchestra.domain.forecast import Competitor, JobsAhead
from orchestra.domain.human import about, count, duration, listed, number, relative
from orchestra.domain.matchmaking import Need, eligible, why_no_node
from orchestra.domain.states import JobState, PendingOperation, Queue, TaskState
from orchestra.domain.wording import Action, Field, Sentence, words

CLAIM_WITHIN = 30
"""Seconds after which pilots poll for jobs without being notified."""


_RETRIES = (PendingOperation.RETRY, PendingOperation.RETRY_ALL)


def predicate(facts: Facts) -> str:
    """The predicate of a waiting job: what it waits for."""
    task, job = facts.task, facts.job
    if facts.settling:
        return "is waiting for the database to recover"
    if task.hold:
        return "is waiting: its task is held"
    if task.state is TaskState.KILL:
        return "is about to be killed with its task"
    if task.after:
        return "is waiting for another task"
    if task.state is TaskState.REGISTERED or task.pending_operation in _RETRIES:
        return "is waiting for its task to start"
    if _waits_for_test(facts):
        return "is waiting for the test of its task"
    if facts.not_before and facts.not_before > facts.now:
        return "is waiting to be retried"
    if not task.state.may_claim:
        return f"is {job.state}, and its task is {task.state}"
    if _waits_for_place(facts):
        return "is waiting for other jobs of its task to end"
    return _slot_of(facts)


def _slot_of(facts: Facts) -> str:
    if facts.pools and not eligible(Need.of(facts.task), facts.offers):
        names = listed(facts.pools, most=3, last="or")
        return f"is waiting for a pilot of pool {names}"
    gpu = facts.task.queue is Queue.GPU
    return "is waiting for a GPU" if gpu else "is waiting for a CPU slot"


def _waits_for_test(facts: Facts) -> bool:
    """Whether it waits for the test jobs of its task and is not one of them."""
    waits = facts.job.state is JobState.REGISTERED and not facts.job.is_test
    return facts.task.state is TaskState.TESTING and waits


def _waits_for_place(facts: Facts) -> bool:
    """Whether as many jobs of its task as may run at a time are released or alive."""
    limit = facts.task.policy.max_running
    return limit is not None and facts.job.state is JobState.REGISTERED


def sentences(facts: Facts) -> Iterator[Sentence]:
    """Yield why it is waiting, the most important first."""
    yield from _obstacles(facts)
    if facts.task.state is TaskState.KILL or not facts.task.state.is_live or facts.task.after:
        return
    if _waits_for_test(facts):
        yield from _test_progress(facts)
    elif facts.job.is_test and facts.task.state is TaskState.TESTING:
        one = f"one of the {count(facts.test.jobs, 'test job')}"
        yield f"It is {'the only test job' if facts.test.jobs == 1 else one} of its task."
    if facts.not_before and facts.not_before > facts.now:
        yield _back_off(facts)
    elif facts.job.attempts:
        yield from earlier_attempts(facts)
    if facts.task.policy.max_running is not None:
        yield _limit(facts.task.policy.max_running)
    if facts.limit:
        yield words(
            f"{facts.task.owner} has a limit of {facts.limit} at a time, which is reached: ",
            Action.LIST_USERS,
            ".",
        )
    yield from about_nodes(facts)
    if not (facts.settling or facts.task.hold or _waits_for_test(facts)):
        yield from _jobs_ahead_sentences(facts)
        yield from _forecast(facts)


# What holds it back, whatever the nodes offer


def _obstacles(facts: Facts) -> Iterator[Sentence]:
    task = facts.task
    if facts.settling:
        yield f"Nothing starts at present because the database is recovering: {facts.settling}."
    if task.hold:
        yield f'It was held {facts.ago(task.hold.at)} by {task.hold.by}: "{task.hold.reason}".'
        how = (
            "When that is fixed (until then, it would be held again)"
            if task.hold.lasts
            else "To release it"
        )
        yield words(f"{how}: ", Action.RELEASE_TASK(task=task.id))
        if task.hold.lasts:
            yield words("If its inputs were changed on purpose: ", Action.UPDATE_TASK(task=task.id))
    if task.after and task.state is not TaskState.KILL:
        yield from dependencies.sentences(task.id, task.after)
    if task.state is TaskState.KILL:
        yield f"The kill was requested{by_whom(facts.asked, facts)}."
    elif task.pending_operation in _RETRIES:
        yield "Its task is being retried, a few thousand jobs at a time."
    if not facts.conductor and not facts.settling:
        yield (
            "There is no conductor at present, so tasks make no progress: no pilot that could be one is online. "
            "Tasks continue within seconds of the start of a pilot."
        )


def _test_progress(facts: Facts) -> Iterator[str]:
    test = facts.test
    parts = [f"{test.done} of {test.jobs} done"]
    parts += [f"{test.living} running"] if test.living else []
    parts += [f"{test.waiting} waiting"] if test.waiting else []
    failed = test.failed - test.killed - test.swept
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{test.killed} killed"] if test.killed else []
    parts += [f"{test.swept} ended because of that"] if test.swept else []
    yield f"The test: {', '.join(parts)}."
    if test.failed:
        yield "The task becomes BROKEN as soon as no test job is alive."
    else:
        yield f"The other jobs follow when {_when_test_passes(test.jobs, facts.task.policy.test_for)}."


def _when_test_passes(jobs: int, test_for: float | None) -> str:
    each = "it is" if jobs == 1 else f"all {number(jobs)} are"
    if test_for is None:
        return f"{each} done"
    has = "has" if jobs == 1 else "have"
    alone = "" if jobs == 1 else ", or when one has and no other could start in that time"
    return f"{each} done or {has} run for {duration(test_for)}{alone}"


def _back_off(facts: Facts) -> str:
    assert facts.not_before is not None
    failures = facts.job.failures
    times = "once" if failures == 1 else f"{failures} times"
    left = (facts.not_before - facts.now).total_seconds()
    last = f" (last: {facts.job.reason})" if facts.job.reason else ""
    return (
        f"It has failed {times}{last} and is retried {relative(left)} at the earliest, "
        f"first in line; {count(facts.task.policy.retries, 'retry', 'retries')} are allowed."
    )


def _limit(most: int) -> Sentence:
    jobs = "1 of its task's jobs" if most == 1 else f"{number(most)} of its task's jobs"
    return words(f"{jobs} may run at a time (", Field.MAX_RUNNING(most), ").")


# Who is ahead, and for how long


def _own(facts: Facts) -> Competitor:
    found = next(
        (competitor for competitor in facts.competitors if competitor.task == facts.task.id), None
    )
    return found or Competitor(facts.task.id, facts.task.owner, Need.of(facts.task))


def _ahead(facts: Facts) -> list[JobsAhead]:
    return forecast.ahead(_own(facts), facts.before, facts.competitors, facts.offers, facts.shares)


def _jobs_ahead_sentences(facts: Facts) -> Iterator[str]:
    line = _ahead(facts)
    if not line:
        if why_no_node(Need.of(facts.task), facts.offers) is None:
            yield "No job is ahead of it."
        return
    more = "More than " if facts.many_before else ""
    jobs = sum(each.jobs for each in line)
    verb = "is" if jobs == 1 and not more else "are"
    parts = [_part(each, facts) for each in _summed(line, facts)]
    yield f"{more}{count(jobs, 'job')} {verb} ahead: {', '.join(parts)}."


def _summed(line: Sequence[JobsAhead], facts: Facts) -> list[JobsAhead]:
    """Sum up several older tasks of the same owner."""
    others = [e for e in line if e.owner == facts.task.owner and e.task != facts.task.id]
    if len(others) < 2:
        return list(line)
    kept = [each for each in line if each not in others]
    jobs, slots = sum(each.jobs for each in others), sum(each.slots for each in others)
    return [*kept, JobsAhead(facts.task.owner, jobs, slots, why="other tasks")]


def _part(each: JobsAhead, facts: Facts) -> str:
    if each.task == facts.task.id:
        return f"{'over ' if facts.many_before else ''}{number(each.jobs)} of its own task"
    if each.owner == facts.task.owner:
        which = f"task {each.task}" if each.task is not None else f"{each.owner}'s other tasks"
        return f"{number(each.jobs)} of {which}"
    return f"{number(each.jobs)} of {each.owner} ({each.why})"


def starts_in(facts: Facts) -> float | None:
    """Return the seconds until it starts at the present rate; None if unknown.

    With `many_before`, it takes longer than that.
    """
    stopped = facts.settling or facts.task.hold or _waits_for_test(facts)
    if (
        stopped
        or not facts.task.state.may_claim
        or not facts.conductor
        or facts.task.pending_operation
        or facts.limit
    ):
        return None
    need = Need.of(facts.task)
    if why_no_node(need, facts.offers):
        return None
    seconds = forecast.starts_in(need, _ahead(facts), facts.offers, facts.busy)
    if seconds is not None and need.asks_more:
        fits_in = [facts.free_in.get(each.node, inf) for each in eligible(need, facts.offers)]
        seconds = None if min(fits_in, default=inf) == inf else max(seconds, min(fits_in))
    if facts.task.policy.max_running is not None and seconds is not None:
        seconds = _with_place(facts, facts.task.policy.max_running, seconds)
    if seconds is None or facts.not_before is None:
        return seconds
    return max(seconds, (facts.not_before - facts.now).total_seconds())


def _with_place(facts: Facts, limit: int, seconds: float) -> float | None:
    """Return the seconds until there is a place as well, besides a slot."""
    task = facts.task
    place = forecast.place_free_in(limit, _own(facts).living, facts.before, task.typical_seconds)
    return None if place is None else max(seconds, place)


def _forecast(facts: Facts) -> Iterator[str]:
    seconds = starts_in(facts)
    waits = facts.not_before is not None and facts.not_before > facts.now
    if facts.limit:
        return
    if seconds is None:
        if eligible(Need.of(facts.task), facts.offers) and facts.conductor and not waits:
            yield "There is no estimate of its start yet: too few of the running jobs have ended."
    elif seconds == 0:
        yield f"A slot is free for it: a pilot claims it at once, or within {CLAIM_WITHIN} s at the latest."
    elif not waits:
        how = "more than" if facts.many_before else "about"
        yield f"At the present rate it starts in {how} {_about(seconds)}."


def _about(seconds: float) -> str:
    return about(seconds) if seconds >= 1 else duration(1)
