"""Carries out the requests of `interface/job_changes.py`."""

from __future__ import annotations

from orchestra.interface import job_changes as ask
from orchestra.interface.answers.jobs import JobsDone
from orchestra.interface.local import Scope
from orchestra.services.jobs import actions


def retry_jobs(scope: Scope, asked: ask.RetryJobs) -> tuple[JobsDone, ...]:
    return tuple(actions.retry(scope.conn, scope.caller, asked.addresses))


def kill_jobs(scope: Scope, asked: ask.KillJobs) -> tuple[JobsDone, ...]:
    return tuple(actions.kill(scope.conn, scope.caller, asked.addresses, asked.reason))
