"""Carries out the requests of `interface/overview.py`."""

from __future__ import annotations

from orchestra.domain.models.tasks import Task
from orchestra.interface import overview as ask
from orchestra.interface.answers.overview import Overview
from orchestra.interface.local import Scope
from orchestra.services import overview
from orchestra.services.tasks import actions


def show_overview(scope: Scope, asked: ask.ShowOverview) -> Overview:
    return overview.show(scope.conn, scope.caller, asked.owner)


def acknowledge_task(scope: Scope, asked: ask.AcknowledgeTask) -> Task:
    return actions.acknowledge(scope.conn, scope.caller, asked.task)
