"""Carries out the requests of `interface/selection.py`."""

from __future__ import annotations

from orchestra.domain.models.tasks import Task
from orchestra.interface import selection as ask
from orchestra.interface.local import Scope
from orchestra.services.tasks import selection


def find_task(scope: Scope, asked: ask.FindTask) -> Task:
    return selection.find(scope.conn, asked.word)


def find_tasks(scope: Scope, asked: ask.FindTasks) -> tuple[int, ...]:
    return tuple(selection.find_ids(scope.conn, asked.selection))
