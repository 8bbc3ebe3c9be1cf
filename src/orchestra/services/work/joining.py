"""The nodes of pilots in allocations: made when a pilot joins, gone with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

import psycopg

from orchestra.domain.errors import Refused
from orchestra.domain.models.nodes import FoundResources
from orchestra.domain.models.pilots import AllocationNews, PilotHello
from orchestra.domain.models.pools import AllocationHello, AllocationState
from orchestra.domain.pools import lent_slots
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.nodes import nodes
from orchestra.store.nodes.nodes import LockedNode
from orchestra.store.pools import lent_nodes as store
from orchestra.store.pools.lent_nodes import LockedAllocation


def join(
    conn: psycopg.Connection, hello: PilotHello, lent: AllocationHello
) -> tuple[LockedNode, float | None]:
    """Return the locked node of a pilot in an allocation, which is made if it is not there, and the pool's `idle`.

    A pilot that a keeper has started may come back to what has ended, even if its pool was deleted: it ends what it
    finds there.

    Raises:
        Refused: there is no such allocation, it has ended, or the node is not its own.
    """
    allocation = store.lock_allocation(conn, lent.id)
    if allocation is None:
        return _orphan(conn, hello), None
    if allocation.state is AllocationState.ENDED and not hello.successor:
        raise Refused(f"allocation {lent.engine_id} of pool {allocation.pool} has ended.")
    node = _node(conn, hello, allocation, lent)
    if store.of_node(conn, node.id).is_gone and not hello.successor:
        raise Refused(f'node "{hello.node}" is gone: its allocation has ended.')
    store.serve(conn, lent)
    if lent.ends_at:
        store.note_end(conn, node.id, lent.ends_at)
    channels.notify(conn, channels.POOL, allocation.pool)
    return node, allocation.idle


def _orphan(conn: psycopg.Connection, hello: PilotHello) -> LockedNode:
    """Return the node of an allocation whose pool was deleted, for who ends what is left there."""
    node = nodes.lock(conn, hello.node)
    if node is None or not hello.successor or store.of_node(conn, node.id).allocation_id:
        raise Refused(f'no pool has the allocation of node "{hello.node}".')
    return node


def _node(
    conn: psycopg.Connection, hello: PilotHello, allocation: LockedAllocation, lent: AllocationHello
) -> LockedNode:
    """Return the pilot's node. A name that another node has gets an ending: engines may count from 1 again."""
    for name in (hello.node, f"{hello.node}-{lent.id.hex[:6]}"):
        node = nodes.lock(conn, name)
        if node is None:
            return _new_node(conn, replace(hello, node=name), allocation, lent.ends_at)
        if store.of_node(conn, node.id).allocation_id == lent.id:
            return node
    raise Refused(f'there is another node "{name}" already.')


def _new_node(
    conn: psycopg.Connection,
    hello: PilotHello,
    allocation: LockedAllocation,
    ends_at: datetime | None,
) -> LockedNode:
    slots = lent_slots.slots(hello.found, allocation.queue, allocation.gpus)
    store.insert_node(conn, hello.node, allocation, ends_at, slots)
    node = nodes.lock(conn, hello.node)
    assert node
    return node


def refuse_stranger(conn: psycopg.Connection, hello: PilotHello, node: int) -> None:
    """Refuse a pilot outside of an allocation on the node of one.

    Raises:
        Refused: the node is one of a pool.
    """
    if store.of_node(conn, node).allocation_id:
        raise Refused(
            f'node "{hello.node}" is one of a pool: only the pilot in its allocation serves it.'
        )


def note_news(conn: psycopg.Connection, node: int, news: AllocationNews) -> None:
    """Record what a pilot has learnt of its allocation."""
    if news.ends_at:
        store.note_end(conn, node, news.ends_at)
    if news.has_run:
        store.note_first_job(conn, node)


def fit(conn: psycopg.Connection, node: int, lent: UUID, found: FoundResources) -> None:
    """Give the node of an allocation the slots that its pilot finds."""
    allocation = store.lock_allocation(conn, lent)
    if allocation:
        store.fit_slots(conn, node, lent_slots.slots(found, allocation.queue, allocation.gpus))


def ask_to_leave(conn: psycopg.Connection, node_id: int) -> bool:
    """Ask whether an idle pilot may leave: its allocation takes no more jobs from then on. May be repeated.

    It may not while another node of its allocation has jobs, or if fewer pilots than the pool's `min_pilots` would
    stay. Two that ask at the same time are answered one after the other.
    """

    def work() -> bool:
        pool = store.lock_pool_of(conn, node_id)
        if pool is None or pool.state is not AllocationState.SERVING:
            return True
        if store.is_busy(conn, pool.allocation):
            return False
        if not pool.is_deleted and store.others(conn, pool) < pool.min_pilots:
            return False
        store.let_leave(conn, pool.allocation)
        for node in store.nodes_of(conn, pool.allocation):
            channels.notify(conn, channels.NODE, str(node))
        channels.notify(conn, channels.POOL, pool.name)
        return True

    return in_transaction(conn, work)


def leave(conn: psycopg.Connection, node: int, agent: UUID) -> None:
    """Note that the node of an allocation is gone with its pilot, and the allocation with the last one.

    Inside a transaction. Its nodes leave one after the other, so that one of them is the last.
    """
    lent = store.of_node(conn, node)
    if lent.allocation_id and store.lock_allocation(conn, lent.allocation_id):
        store.leave(conn, node, agent)
    if lent.pool:
        channels.notify(conn, channels.POOL, lent.pool)
