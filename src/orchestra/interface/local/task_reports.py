"""Carries out the requests of `interface/task_reports.py`."""

from __future__ import annotations

from orchestra.domain.wording import Sentence
from orchestra.interface import task_reports as ask
from orchestra.interface.answers.task_reports import TaskReport
from orchestra.interface.local import Scope
from orchestra.services.tasks import selection, views


def show_task(scope: Scope, asked: ask.ShowTask) -> TaskReport:
    return views.show(scope.conn, asked.word, failures=asked.failures)


def why_task_waits(scope: Scope, asked: ask.WhyTaskWaits) -> tuple[Sentence, ...]:
    return views.waiting_reasons(scope.conn, selection.find(scope.conn, str(asked.task)))
