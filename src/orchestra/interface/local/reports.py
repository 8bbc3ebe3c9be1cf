"""Carries out the request of `interface/reports.py`."""

from __future__ import annotations

from orchestra.interface import reports as ask
from orchestra.interface.answers.task_reports import Report
from orchestra.interface.local import Scope
from orchestra.services.tasks import reports


def report_task(scope: Scope, asked: ask.ReportTask) -> Report:
    return reports.facts(scope.conn, asked.word)
