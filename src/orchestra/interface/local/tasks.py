"""Carries out the requests of `interface/tasks.py`."""

from __future__ import annotations

from orchestra.interface import tasks as ask
from orchestra.interface.answers.tasks import TaskLine
from orchestra.interface.local import Scope
from orchestra.services.tasks import lists
from orchestra.services.users import users


def list_tasks(scope: Scope, asked: ask.ListTasks) -> tuple[TaskLine, ...]:
    if asked.owner is not None:
        users.get(scope.conn, asked.owner)  # else a name with a typo would have no tasks
    return tuple(lists.list_tasks(scope.conn, asked))
