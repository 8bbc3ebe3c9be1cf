"""Carries out the requests of `interface/pools.py`."""

from __future__ import annotations

from orchestra.domain.models.pools import Pool
from orchestra.interface import pools as ask
from orchestra.interface.answers.pools import PoolPlan, PoolReport
from orchestra.interface.local import Scope
from orchestra.services.pools import pools, views


def list_pools(scope: Scope, _asked: ask.ListPools) -> tuple[Pool, ...]:
    return tuple(pools.everything(scope.conn))


def show_pool(scope: Scope, asked: ask.ShowPool) -> PoolReport:
    return views.show(scope.conn, asked.name, asked.ended)


def plan_pool(scope: Scope, asked: ask.PlanPool) -> PoolPlan:
    return views.plan(scope.conn, asked.name)
