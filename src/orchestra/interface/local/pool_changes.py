"""Carries out the requests of `interface/pool_changes.py`."""

from __future__ import annotations

from orchestra.domain.models.pools import AtStake, Pool
from orchestra.interface import pool_changes as ask
from orchestra.interface.local import Scope
from orchestra.services.pools import pools


def create_pool(scope: Scope, asked: ask.CreatePool) -> Pool:
    return pools.create(scope.conn, scope.caller, asked.name, asked.engine, asked.settings)


def set_pool(scope: Scope, asked: ask.SetPool) -> Pool:
    return pools.change(scope.conn, scope.caller, asked.name, asked.settings, owner=asked.owner)


def pause_pool(scope: Scope, asked: ask.PausePool) -> Pool:
    return pools.pause(scope.conn, scope.caller, asked.name, asked.reason)


def resume_pool(scope: Scope, asked: ask.ResumePool) -> bool:
    return pools.resume(scope.conn, scope.caller, asked.name)


def allocations_at_stake(scope: Scope, asked: ask.AllocationsAtStake) -> AtStake:
    return pools.at_stake(scope.conn, scope.caller, asked.name)


def delete_pool(scope: Scope, asked: ask.DeletePool) -> Pool | None:
    return pools.delete(scope.conn, scope.caller, asked.name, asked.how)
