"""The pools whose pilots could run the jobs of a queue."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.pools import Pool
from orchestra.domain.pools.prospects import Prospect
from orchestra.domain.pools.shape import Shape, shape_of
from orchestra.domain.states import Queue
from orchestra.store.pools import demand
from orchestra.store.pools import pools as store
from orchestra.store.tasks.tasks import now


def prospects(conn: psycopg.Connection, queue: Queue) -> list[Prospect]:
    """Return the pools of a queue, with what an allocation of each offers."""
    found = [pool for pool in store.everything(conn) if pool.spec.queue is queue]
    if not found:
        return []
    at = now(conn)
    return [Prospect(pool, shape(conn, pool), at) for pool in found]


def shape(conn: psycopg.Connection, pool: Pool) -> Shape:
    """Return what an allocation of a pool offers, as far as is known."""
    latest = demand.latest_node(conn, pool.id)
    return shape_of(pool, *latest) if latest else shape_of(pool)
