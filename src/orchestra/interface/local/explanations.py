"""Carries out the requests of `interface/explanations.py`."""

from __future__ import annotations

from orchestra.interface import explanations as ask
from orchestra.interface.answers.explanations import Explained
from orchestra.interface.local import Scope
from orchestra.services.jobs import explain


def explain_job(scope: Scope, asked: ask.ExplainJob) -> Explained:
    return explain.explain(scope.conn, asked.address, scope.may_read_logs_of)
