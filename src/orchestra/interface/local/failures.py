"""Carries out the requests of `interface/failures.py`."""

from __future__ import annotations

from orchestra.interface import failures as ask
from orchestra.interface.answers.failures import TaskFailures
from orchestra.interface.local import Scope
from orchestra.services.tasks import failures


def failures_of(scope: Scope, asked: ask.FailuresOf) -> TaskFailures:
    return failures.of_task(scope.conn, asked.word)
