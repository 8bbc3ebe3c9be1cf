"""Carries out the requests of `interface/changes.py`."""

from __future__ import annotations

from orchestra.interface import changes as ask
from orchestra.interface.answers.changes import TaskChanges
from orchestra.interface.local import Scope
from orchestra.services.database import changes


def changes_since(scope: Scope, asked: ask.ChangesSince) -> TaskChanges:
    return changes.changes_since(scope.conn, asked.cursor, asked.tasks)
