"""Carries out the requests of `interface/job_matches.py`."""

from __future__ import annotations

from orchestra.domain.models.job_choice import JobChoice
from orchestra.interface import job_matches as ask
from orchestra.interface.answers.jobs import JobsMatched
from orchestra.interface.local import Scope
from orchestra.services.jobs import matches


def retry_matching(scope: Scope, asked: ask.RetryMatching) -> JobsMatched:
    return matches.retry(scope.conn, scope.caller, asked.task, _choice(asked), asked.start)


def kill_matching(scope: Scope, asked: ask.KillMatching) -> JobsMatched:
    return matches.kill(
        scope.conn, scope.caller, asked.task, _choice(asked), asked.start, asked.why
    )


def _choice(asked: ask.RetryMatching | ask.KillMatching) -> JobChoice:
    return JobChoice(asked.status, asked.reason, asked.line, asked.node, asked.config)
