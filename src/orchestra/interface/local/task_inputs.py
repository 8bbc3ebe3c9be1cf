"""Carries out the requests of `interface/task_inputs.py`."""

from __future__ import annotations

from orchestra.interface import task_inputs as ask
from orchestra.interface.answers.task_inputs import Added, TaskInputs, Updated
from orchestra.interface.local import Scope
from orchestra.services.tasks import growing, updating


def inputs_of(scope: Scope, asked: ask.InputsOf) -> TaskInputs:
    return updating.inputs(scope.conn, scope.caller, asked.task)


def update_task(scope: Scope, asked: ask.UpdateTask) -> Updated:
    return updating.update(
        scope.conn,
        scope.caller,
        asked.task,
        more=asked.more,
        origin=asked.origin,
        every=asked.every,
        bypass=asked.bypass,
    )


def add_configs(scope: Scope, asked: ask.AddConfigs) -> Added:
    return growing.add(scope.conn, scope.caller, asked.task, asked.files)
