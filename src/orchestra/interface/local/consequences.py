"""Carries out the requests of `interface/consequences.py`."""

from __future__ import annotations

from orchestra.domain.models.job_choice import JobChoice
from orchestra.interface import consequences as ask
from orchestra.interface.answers.consequences import Consequences
from orchestra.interface.local import Scope
from orchestra.services.jobs import consequences


def consequences_of(scope: Scope, asked: ask.ConsequencesOf) -> Consequences:
    choice = JobChoice(asked.status, asked.reason, asked.line, asked.node, asked.config)
    return consequences.of_action(scope.conn, scope.caller, asked.word, asked.action, choice)
