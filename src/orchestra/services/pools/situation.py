"""What a decision about a pool is made from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import psycopg

from orchestra.domain.allowance import Allowance
from orchestra.domain.labels import labels_of
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.pools import Pool, Situation
from orchestra.domain.node_timeline import Host
from orchestra.domain.placement import admits
from orchestra.domain.pools.elsewhere import coming
from orchestra.domain.pools.loads import Server, Waiting, waiting
from orchestra.domain.pools.ready import Ready
from orchestra.domain.pools.shape import Shape
from orchestra.services.prospects import shape
from orchestra.store.nodes import reservations
from orchestra.store.nodes.reservations import ServingNode
from orchestra.store.pools import allocations, demand, pools
from orchestra.store.tasks import placements
from orchestra.store.work import limits

BEYOND_MIN_WORK = 2.0
"""Up to so many times the pool's `min_work` after the usual wait, it matters when running jobs end."""


def situation(conn: psycopg.Connection, pool: Pool, now: datetime) -> Situation:
    """Return what a decision about a pool is made from, now."""
    return look(conn, pool, now)[0]


def look(conn: psycopg.Connection, pool: Pool, now: datetime) -> tuple[Situation, bool]:
    """Return the situation of a pool, and whether any jobs are ready that its pilots could run, now or later."""
    wait = allocations.usual_wait(conn, pool.id)
    horizon = (wait or 0.0) + BEYOND_MIN_WORK * pool.limits.min_work
    found = demand_for(conn, pool, now, horizon)
    seen = Situation(
        now=now,
        limits=pool.limits,
        loads=found.loads,
        allocations=pool.live,
        serving=found.serving,
        wait=wait,
        back_off=pool.back_off,
        nodes=pool.spec.nodes,
        surplus_since=pool.decision.surplus_since if pool.decision else None,
        is_paused=pool.paused_at is not None,
        deletion=pool.deletion,
    )
    return seen, found.has_work


def demand_for(conn: psycopg.Connection, pool: Pool, now: datetime, horizon: float) -> Waiting:
    """Return the jobs that wait for pilots of a pool, and what runs of jobs like these."""
    there = reservations.serving_nodes(conn)
    rows = demand.ready(conn, pool.spec.queue, there.claimed, there.oldest)
    if not rows:
        return Waiting()
    where = placements.some(conn, {row.placement for row in rows if row.placement is not None})
    tasks = [
        replace(row.task, placement=None if row.placement is None else where[row.placement])
        for row in rows
    ]
    kept_for = {each.host: each.task for each in reservations.held(conn)}
    nodes = [each for each in there.nodes if each.offer.only in (None, pool.spec.queue)]
    elsewhere = _coming(conn, pool, now)
    servers = [Server(each.host, kept_for.get(each.node.id)) for each in nodes]
    servers += [Server(host) for host, _ in elsewhere]
    left_to = _left_to(conn, {row.task.owner for row in rows if row.is_limited})
    served = _served(nodes, elsewhere, tasks)
    return waiting(tasks, servers, served, shape(conn, pool), left_to, horizon=horizon)


def _coming(conn: psycopg.Connection, pool: Pool, now: datetime) -> list[tuple[Host, Shape]]:
    """Return the nodes that other pools are about to have; their ids are below zero."""
    found: list[tuple[Host, Shape]] = []
    for other, count in coming(pool, pools.everything(conn), now):
        offers = shape(conn, other)
        for _ in range(count * offers.nodes):
            found.append((Host(-1 - len(found), offers.room), offers))
    return found


def _left_to(conn: psycopg.Connection, owners: Collection[int]) -> dict[int, Allowance]:
    return {owner: limits.left_to(conn, owner) for owner in sorted(owners)}


def _served(
    nodes: Sequence[ServingNode], elsewhere: Sequence[tuple[Host, Shape]], tasks: Iterable[Ready]
) -> Mapping[int, frozenset[int]]:
    """Return by task the nodes that may run it."""
    found: dict[tuple[str, str | None, Placement | None], frozenset[int]] = {}
    labels = {each.node.id: labels_of(each.node) for each in nodes}
    served = {}
    for task in tasks:
        key = task.account, task.image, task.placement
        if key not in found:
            found[key] = frozenset(
                each.host.id
                for each in nodes
                if each.offer.serves(task.account, task.image)
                and _admits(task.placement, each.node.name, labels[each.node.id])
            ) | {host.id for host, offers in elsewhere if offers.takes(task)}
        served[task.task] = found[key]
    return served


def _admits(where: Placement | None, name: str, labels: Mapping[str, str]) -> bool:
    return where is None or admits(where, name, labels)
