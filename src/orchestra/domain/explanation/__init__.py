"""Why a job is waiting, where it runs, what happened to it: from facts to sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import assert_never

from orchestra.domain.explanation import active, ended, waiting
from orchestra.domain.explanation.facts import Explanation, Facts, KeeperLease
from orchestra.domain.states import JobState
from orchestra.domain.wording import Sentence

__all__ = ["Explanation", "Facts", "KeeperLease", "explain"]


def explain(facts: Facts) -> Explanation:
    """Explain a job's state in sentences, the most important first."""
    seconds = None
    told: Iterable[Sentence]
    match facts.job.state:
        case JobState.REGISTERED | JobState.ASSIGNED if not facts.job.claimed:
            seconds = None if facts.many_before else waiting.starts_in(facts)
            predicate, told = waiting.predicate(facts), waiting.sentences(facts)
        case JobState.REGISTERED | JobState.ASSIGNED:
            predicate, told = active.claimed(facts), active.about_claimed(facts)
        case JobState.RUNNING:
            predicate, told = active.running(facts), active.about_running(facts)
        case JobState.DONE:
            predicate, told = ended.done(facts), ended.about_done(facts)
        case JobState.FAILED:
            predicate, told = ended.failed(facts), ended.about_failed(facts)
        case JobState.KILLED:
            predicate, told = ended.killed(facts), ended.about_killed(facts)
        case JobState.BROKEN:
            predicate, told = ended.broken(facts), ended.about_broken(facts)
        case _:
            assert_never(facts.job.state)
    if facts.stuck:
        told = chain([facts.stuck], told)
    subject = f"Job {facts.job.index} of task {facts.task.id} ({facts.task.name})"
    return Explanation(f"{subject} {predicate}.", tuple(told), seconds)
