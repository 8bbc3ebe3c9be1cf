"""The earlier attempts of a job."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.domain.explanation.facts import Facts, ending
from orchestra.domain.human import count
from orchestra.domain.models.jobs import Attempt
from orchestra.domain.wording import Action, Sentence, words

SHOWN = 3


def earlier_attempts(facts: Facts, *, but_last: bool = False) -> Iterator[Sentence]:
    """Yield how its attempts ended, latest first; without the last one if it is explained elsewhere."""
    over = list(facts.attempts[:-1] if but_last else facts.attempts)
    for attempt in reversed(over[-SHOWN:]):
        yield f"Attempt {attempt.number}{_when(attempt, facts)} on {attempt.node}: {ending(attempt)}."
    if len(over) > SHOWN:
        before = count(len(over) - SHOWN, "attempt")
        yield words(
            f"Before that, {before} more: ",
            Action.SHOW_JOB(task=facts.task.id, job=facts.job.index),
        )


def _when(attempt: Attempt, facts: Facts) -> str:
    moment = attempt.ended_at or attempt.lost_at
    return f" ended {facts.ago(moment)}" if moment else ""
