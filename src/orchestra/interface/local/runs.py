"""Carries out the requests of `interface/runs.py`."""

from __future__ import annotations

from orchestra.interface import runs as ask
from orchestra.interface.answers.runs import Run, RunPlan
from orchestra.interface.local import Scope
from orchestra.services.tasks import runs


def plan_run(scope: Scope, asked: ask.PlanRun) -> RunPlan:
    return runs.plan(scope.conn, scope.caller, scope.proven(asked.new), asked.files, asked.commands)


def create_run(scope: Scope, asked: ask.CreateRun) -> Run:
    return runs.create(scope.conn, scope.caller, scope.proven(asked.new), asked.files)
