"""Carries out what is asked about tasks."""

from __future__ import annotations

from orchestra.domain.models.tasks import Task
from orchestra.interface import tasks as ask
from orchestra.interface.answers.tasks import TaskLine
from orchestra.interface.local import Scope
from orchestra.services import selection


def find_task(scope: Scope, asked: ask.FindTask) -> Task:
    return selection.find(scope.conn, asked.word)


def find_tasks(scope: Scope, asked: ask.FindTasks) -> tuple[int, ...]:
    return tuple(selection.find_ids(scope.conn, asked.selection))


def list_tasks(scope: Scope, asked: ask.ListTasks) -> tuple[TaskLine, ...]:
    from orchestra.services import task_lists, users

    if asked.owner is not None:
        users.get(scope.conn, asked.owner)  # or a name with a typo would have no tasks
    return tuple(task_lists.list_tasks(scope.conn, owner=asked.owner, every=asked.every))
