"""Carries out the requests of `interface/node_changes.py`."""

from __future__ import annotations

from orchestra.domain.models.nodes import Node
from orchestra.interface import node_changes as ask
from orchestra.interface.local import Scope
from orchestra.services.nodes import drains, hours, nodes


def create_node(scope: Scope, asked: ask.CreateNode) -> Node:
    return nodes.create(scope.conn, scope.caller, asked.name, asked.cpu, asked.gpu, asked.settings)


def set_node(scope: Scope, asked: ask.SetNode) -> Node:
    return nodes.change(
        scope.conn,
        scope.caller,
        asked.name,
        asked.cpu,
        asked.gpu,
        asked.settings,
        owner=asked.owner,
    )


def drain_node(scope: Scope, asked: ask.DrainNode) -> Node:
    drains.drain(scope.conn, scope.caller, asked.name, reason=asked.reason, at=asked.at)
    return nodes.get(scope.conn, asked.name)


def resume_node(scope: Scope, asked: ask.ResumeNode) -> bool:
    return drains.resume(scope.conn, scope.caller, asked.name)


def stop_node(scope: Scope, asked: ask.StopNode) -> bool:
    return nodes.stop(scope.conn, scope.caller, asked.name, now=asked.now)


def attempts_at_stake(scope: Scope, asked: ask.AttemptsAtStake) -> int:
    return nodes.at_stake(scope.conn, scope.caller, asked.name, force=asked.force)


def attempts_ended_by_hours(scope: Scope, asked: ask.AttemptsEndedByHours) -> int:
    return hours.ended_by_hours(scope.conn, scope.caller, asked.name, asked.open_hours)


def lose_node(scope: Scope, asked: ask.LoseNode) -> int:
    return nodes.lose(scope.conn, scope.caller, asked.name, why=asked.reason, force=asked.force)


def delete_node(scope: Scope, asked: ask.DeleteNode) -> None:
    nodes.delete(scope.conn, scope.caller, asked.name)
