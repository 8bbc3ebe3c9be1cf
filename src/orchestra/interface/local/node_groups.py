"""Carries out the requests of `interface/node_groups.py`: each in one transaction, node after node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from orchestra.domain.errors import BadInput
from orchestra.domain.models.nodes import Node
from orchestra.domain.wording import words
from orchestra.interface import node_groups as ask
from orchestra.interface.local import Scope
from orchestra.services.nodes import drains, nodes
from orchestra.store.driver.database import in_transaction

T = TypeVar("T")


def create_nodes(scope: Scope, asked: ask.CreateNodes) -> tuple[Node, ...]:
    return _all(
        scope,
        asked.names,
        lambda name: nodes.create(
            scope.conn, scope.caller, name, asked.cpu, asked.gpu, asked.settings
        ),
    )


def set_nodes(scope: Scope, asked: ask.SetNodes) -> tuple[Node, ...]:
    def change(name: str) -> Node:
        try:
            return nodes.change(
                scope.conn,
                scope.caller,
                name,
                asked.cpu,
                asked.gpu,
                asked.settings,
                owner=asked.owner,
            )
        except BadInput as error:  # of one among several nodes
            if len(asked.names) == 1:
                raise
            of_which = words(f'node "{name}": ', error.message)
            raise BadInput(of_which, hint=error.remedy, **error.params) from None

    return _all(scope, asked.names, change)


def drain_nodes(scope: Scope, asked: ask.DrainNodes) -> tuple[Node, ...]:
    def drain(name: str) -> Node:
        drains.drain(scope.conn, scope.caller, name, reason=asked.reason, at=asked.at)
        return nodes.get(scope.conn, name)

    return _all(scope, asked.names, drain)


def resume_nodes(scope: Scope, asked: ask.ResumeNodes) -> tuple[str, ...]:
    resumed = _all(
        scope, asked.names, lambda name: drains.resume(scope.conn, scope.caller, name) and name
    )
    return tuple(name for name in resumed if name)


def stop_nodes(scope: Scope, asked: ask.StopNodes) -> tuple[str, ...]:
    stopped = _all(
        scope, asked.names, lambda name: nodes.stop(scope.conn, scope.caller, name) and name
    )
    return tuple(name for name in stopped if name)


def delete_nodes(scope: Scope, asked: ask.DeleteNodes) -> None:
    _all(scope, asked.names, lambda name: nodes.delete(scope.conn, scope.caller, name))


def _all(scope: Scope, names: tuple[str, ...], change: Callable[[str], T]) -> tuple[T, ...]:
    return in_transaction(scope.conn, lambda: tuple(change(name) for name in names))
