"""Carries out what is asked about names."""

from __future__ import annotations

from orchestra.interface.local import Scope
from orchestra.interface.names import ListNames


def list_names(scope: Scope, asked: ListNames) -> tuple[str, ...]:
    """Only what the kind needs is brought in: somebody waits with a finger on the tabulator."""
    conn = scope.conn
    match asked.kind:
        case "task":
            from orchestra.store.tasks import tasks

            return tuple(tasks.names(conn))
        case "dataset":
            from orchestra.store import datasets

            return tuple(datasets.names(conn))
        case "node":
            from orchestra.store.nodes import nodes

            return tuple(node.name for node in nodes.everything(conn))
        case "user":
            from orchestra.store import users

            return tuple(user.name for user in users.everybody(conn))
