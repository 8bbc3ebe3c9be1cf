"""The explanation of a job that has ended."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.domain.explanation.facts import Facts, by_whom, ending
from orchestra.domain.explanation.history import earlier_attempts
from orchestra.domain.human import count, duration, sentence, size
from orchestra.domain.models.jobs import Attempt
from orchestra.domain.states import TaskState
from orchestra.domain.wording import Action, Sentence, words


def done(facts: Facts) -> str:
    """The predicate of a done job."""
    good = _result_attempt(facts)
    if good is None:
        return "is done"
    took = f" after {duration(good.seconds)}" if good.seconds is not None else ""
    when = f", {facts.ago(good.ended_at)}" if good.ended_at else ""
    return f"is done{took} on node {good.node}{when}"


def about_done(facts: Facts) -> Iterator[str]:
    """Yield where its result is, and its earlier attempts."""
    if facts.job.removed:
        yield "Its config is no longer among the files of its task, so it is not run again."
    good = _result_attempt(facts)
    which = f" (attempt {good.number})" if good and len(facts.attempts) > 1 else ""
    yield f"Its result{which}: {facts.result}"
    if good and good.inputs_note:
        yield f"The result is in doubt: {good.inputs_note}."
    others = [attempt for attempt in facts.attempts if attempt is not good]
    for attempt in others[-3:]:
        yield f"Attempt {attempt.number} on {attempt.node}: {ending(attempt)}."


def _result_attempt(facts: Facts) -> Attempt | None:
    return next((a for a in facts.attempts if a.number == facts.job.done_attempt), None)


def failed(facts: Facts) -> str:
    """The predicate of a failed job."""
    latest = facts.latest
    if latest is None:
        return "failed"
    moment = latest.ended_at or latest.lost_at
    when = f" {facts.ago(moment)}" if moment else ""
    return f"failed{when} on node {latest.node}: {ending(latest)}"


def about_failed(facts: Facts) -> Iterator[Sentence]:
    """Yield what is known about the failure."""
    yield from _usage(facts)
    yield from _log(facts)
    if facts.job.failures > 1 or facts.task.policy.retries:
        retries = count(facts.task.policy.retries, "retry", "retries")
        yield f"It failed {count(facts.job.failures, 'time')}; its task allows {retries}."
    yield from earlier_attempts(facts, but_last=True)
    yield _how_to_run_again(facts)


def _usage(facts: Facts) -> Iterator[str]:
    latest = facts.latest
    if latest is None or latest.seconds is None:
        return
    peak = latest.usage.max_rss_bytes
    memory = f" and used {size(peak)} of memory at most" if peak else ""
    yield f"It ran for {duration(latest.seconds)}{memory}."


def _log(facts: Facts) -> Iterator[Sentence]:
    if facts.last_line:
        yield f'The last line of its log: "{facts.last_line}"'
    if facts.latest and facts.latest.started_at:
        yield words("Its log: ", Action.READ_LOG(task=facts.task.id, job=facts.job.index))


def _how_to_run_again(facts: Facts) -> Sentence:
    if facts.task.state is TaskState.KILL:
        return words(
            "It can run again once its task is killed: ", Action.RETRY_TASK(task=facts.task.id)
        )
    return words("To run it again: ", Action.RETRY_JOB(task=facts.task.id, job=facts.job.index))


def killed(facts: Facts) -> str:
    """The predicate of a killed job, with who killed it."""
    if facts.job.removed:
        return "is removed: its config is no longer among the files of its task"
    return f"was killed{by_whom(facts.asked, facts)}"


def about_killed(facts: Facts) -> Iterator[Sentence]:
    """Yield what it had done before."""
    if facts.asked and facts.asked.index is None:
        yield "The whole task was killed."
    if facts.attempts:
        yield from earlier_attempts(facts)
    else:
        yield "It had not run yet."
    if facts.job.removed:
        yield words(
            "When the file is there again, this brings the job back: ",
            Action.UPDATE_TASK(task=facts.task.id),
        )
    else:
        yield _how_to_run_again(facts)


def broken(facts: Facts) -> str:
    """The predicate of a broken job, with why it is broken."""
    if facts.job.index in [failed_test.index for failed_test in facts.failed_tests]:
        return "is broken: it failed as a test job, which broke its task"
    return "is broken: the test of its task failed"


def about_broken(facts: Facts) -> Iterator[Sentence]:
    """Yield which test jobs failed."""
    for failed_test in facts.failed_tests:
        said = f' ("{failed_test.last_line}")' if failed_test.last_line else ""
        where = f"{facts.task.id}/{failed_test.index}"
        node = failed_test.node or "a deleted node"
        yield f"Test job {where} failed on {node}: {sentence((failed_test.reason or failed_test.what) + said)}"
    logged = next((failed_test for failed_test in facts.failed_tests if failed_test.has_log), None)
    if logged:
        yield words("Its log: ", Action.READ_LOG(task=facts.task.id, job=logged.index))
    elif facts.failed_tests:
        yield "Its command never started, so there is no log."
    if not facts.attempts:
        yield "It had not run yet."
    yield words("When that is fixed: ", Action.RETRY_TASK(task=facts.task.id))
