"""Carries out the requests of `interface/new_tasks.py`."""

from __future__ import annotations

from orchestra.domain.errors import NotAllowed
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.domain.wording import Field, words
from orchestra.interface import new_tasks as ask
from orchestra.interface.answers.new_tasks import Preview
from orchestra.interface.local import Scope
from orchestra.services.tasks import cloning, creation, selection


def find_own_task(scope: Scope, asked: ask.FindOwnTask) -> Task | None:
    return creation.find_existing(scope.conn, scope.caller, asked.name)


def settings_of(scope: Scope, asked: ask.SettingsOf) -> NewTask:
    request = cloning.settings(scope.conn, scope.caller, asked.word, asked.name)
    if request.env and scope.through is not None:
        owner = selection.find(scope.conn, asked.word).owner
        if not scope.caller.may_change(owner):
            raise NotAllowed(
                f'the task has environment variables, whose values only user "{owner}" and admins may see, and you are '
                f'"{scope.caller.name}".',
                hint=words("Ask them, and create a task with ", Field.ENV, "."),
            )
    return request


def plan_task(scope: Scope, asked: ask.PlanTask) -> Preview:
    planned = creation.plan(scope.conn, scope.caller, scope.proven(asked.new))
    return creation.preview(scope.conn, planned, asked.commands)


def create_task(scope: Scope, asked: ask.CreateTask) -> Task:
    planned = creation.plan(scope.conn, scope.caller, scope.proven(asked.new))
    return creation.create(scope.conn, planned)
