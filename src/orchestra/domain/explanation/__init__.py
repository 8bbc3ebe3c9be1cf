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
    sentences: Iterable[Sentence]
    match facts.job.state:
        case JobState.REGISTERED | JobState.ASSIGNED if not facts.job.claimed:
            seconds = None if facts.many_before else waiting.starts_in(facts)
            predicate, sentences = waiting.predicate(facts), waiting.sentences(facts)
        case JobState.REGISTERED | JobState.ASSIGNED:
            predicate, sentences = active.claimed(facts), active.about_claimed(facts)
        case JobState.RUNNING:
            predicate, sentences = active.running(facts), active.about_running(facts)
        case JobState.DONE:
            predicate, sentences = ended.done(facts), ended.about_done(facts)
        case JobState.FAILED:
            predicate, sentences = ended.failed(facts), ended.about_failed(facts)
        case JobState.KILLED:
            predicate, sentences = ended.killed(facts), ended.about_killed(facts)
        case JobState.BROKEN:
            predicate, sentences = ended.broken(facts), ended.about_broken(facts)
        case _:
            assert_never(facts.job.state)
    if facts.stuck:
        sentences = chain([facts.stuck], sentences)
    subject = f"Job {facts.job.index} of task {facts.task.id} ({facts.task.name})"
    return Explanation(f"{subject} {predicate}.", tuple(sentences), seconds)
