"""A pool as people look at it: with its latest allocations, and with what would be decided now."""

from __future__ import annotations

import psycopg

from orchestra.domain.pools.decision import decide
from orchestra.domain.storable import check_whole
from orchestra.interface.answers.pools import PoolPlan, PoolReport
from orchestra.services.pools import pools
from orchestra.services.pools.situation import situation
from orchestra.store.driver.database import read_one_snapshot
from orchestra.store.pools import pools as store
from orchestra.store.tasks.tasks import now

MOST_ENDED = 1000


def show(conn: psycopg.Connection, name: str, ended: int) -> PoolReport:
    """Return a pool with at most `ended` of its allocations that have ended, the latest first.

    Raises:
        NotFound: there is none with that name.
        BadInput: the number is not possible.
    """
    check_whole("the number of allocations", ended, least=0, most=MOST_ENDED)
    with conn.transaction():
        read_one_snapshot(conn)
        pool = pools.get(conn, name)
        over = store.ended_allocations(conn, pool.id, ended)
        return PoolReport(pool, tuple(over), now(conn))


def plan(conn: psycopg.Connection, name: str) -> PoolPlan:
    """Return what would be decided about a pool now.

    Raises:
        NotFound: there is none with that name.
    """
    with conn.transaction():
        read_one_snapshot(conn)
        pool = pools.get(conn, name)
        found = situation(conn, pool, now(conn))
        room = sum((each.size for each in found.serving), 0.0)
        return PoolPlan(pool, decide(found), found.loads, room, found.wait, found.now)
