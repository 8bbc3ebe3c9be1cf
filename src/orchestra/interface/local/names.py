"""Carries out the requests of `interface/names.py`."""

from __future__ import annotations

from orchestra.interface.local import Scope
from orchestra.interface.names import FreeName, ListNames


def list_names(scope: Scope, asked: ListNames) -> tuple[str, ...]:
    """Only what the kind needs is imported: somebody has pressed Tab and waits."""
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
        case "pool":
            from orchestra.store.pools import pools

            return tuple(pools.names(conn))
        case "user":
            from orchestra.store import users

            return tuple(user.name for user in users.everybody(conn))


def free_name(scope: Scope, asked: FreeName) -> str:
    from orchestra.services import names

    return names.free(scope.conn, scope.caller, asked.name, asked.kinds)
