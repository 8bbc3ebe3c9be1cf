"""Carries out the requests of `interface/jobs.py`."""

from __future__ import annotations

from orchestra.interface import jobs as ask
from orchestra.interface.answers.jobs import AttemptReport, JobPage, JobReport
from orchestra.interface.local import Scope
from orchestra.services.jobs import views


def list_jobs(scope: Scope, asked: ask.ListJobs) -> JobPage:
    return views.list_jobs(
        scope.conn, asked.word, asked.status, first=asked.first, limit=asked.limit
    )


def show_job(scope: Scope, asked: ask.ShowJob) -> JobReport:
    return views.show(scope.conn, asked.address)


def show_attempt(scope: Scope, asked: ask.ShowAttempt) -> AttemptReport:
    return views.show_attempt(scope.conn, asked.task, asked.index, asked.attempt)
