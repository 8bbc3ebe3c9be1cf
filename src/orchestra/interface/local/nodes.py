"""Carries out the requests of `interface/nodes.py`."""

from __future__ import annotations

from orchestra.domain.models.nodes import Node
from orchestra.interface import nodes as ask
from orchestra.interface.local import Scope
from orchestra.services.nodes import nodes


def list_nodes(scope: Scope, _asked: ask.ListNodes) -> tuple[Node, ...]:
    return tuple(nodes.everything(scope.conn))


def get_node(scope: Scope, asked: ask.GetNode) -> Node:
    return nodes.get(scope.conn, asked.name)
