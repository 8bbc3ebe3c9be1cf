"""A pilot claims jobs for the free slots of its node."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus

from orchestra.domain.errors import (
    DatabaseReplaced,
    DatabaseUnavailable,
    KeeperFenced,
    Superseded,
)
from orchestra.domain.models.work import Claim, Place, Revision, SharedFiles
from orchestra.domain.resources import Room
from orchestra.domain.states import Queue
from orchestra.services.work.admissions import Admissions
from orchestra.services.work.owner_limits import OwnerLimits
from orchestra.services.work.queue_claim import NodeClaim, QueueClaim
from orchestra.services.work.reserved_node import ReservedNode
from orchestra.store.driver.database import in_transaction
from orchestra.store.tasks import locks
from orchestra.store.work import attempts, claim_cursors, claims, task_specs

IN_TURN = (Queue.GPU, Queue.CPU)
"""The order in which the queues take of a node's CPU slots and memory. GPU jobs come first: they are bounded by the
devices, which would stand idle if jobs of the cpu queue, which can take everything, had the CPU slots of their jobs."""


def claim(
    conn: psycopg.Connection,
    agent: UUID,
    keeper_id: UUID,
    request: int,
    room: Room,
    known: Collection[Revision] = (),
    *,
    queues: Collection[Queue] = IN_TURN,
    offered: Room | None = None,
    at_most: int = 1000,
    avoid: Collection[int] = (),
    after: Mapping[Queue, Place] | None = None,
    epoch: int | None = None,
    versions: MutableMapping[int, SharedFiles] | None = None,
    admissions: Admissions | None = None,
) -> Claim:
    """Claim jobs that fit into a node's `room`, best task of each queue first; at most `at_most` jobs of each queue.

    Jobs that would not fit if the node were idle, with the room `offered` (by default what is enabled), are left to
    other nodes, and so are tasks to `avoid`, those that the node's labels refuse, and jobs that cannot end in time. If
    the node waits for a job that needs more than is free, jobs start that do not delay it. A claim reads the tasks of
    the `queues` to the end, or up to a limit; then `more` in the result says where the next claim continues (`after`).

    Repeatable: `request` counts up; a request that was answered before gets the same answer again (less what has ended
    since), so that a lost answer loses no job; one below the keeper's `latest` claims nothing. `known` are the
    revisions of tasks that the agent has already (what they say never changes), `versions` are the files of data sets
    that it has (those of new revisions are added), `admissions` says which placements admit its node. All are valid for
    one `epoch` of the database: a replaced database assigns numbers again.

    Raises:
        DatabaseReplaced: the database was replaced in the meantime; attach again. Nothing was claimed.
        KeeperFenced: the keeper has been fenced.
        Superseded: another agent decides for the node.
    """

    admissions = Admissions() if admissions is None else admissions
    lagging: dict[int, int] = {}

    def work() -> Claim:
        lagging.clear()
        keeper = attempts.lock_keeper(conn, keeper_id)
        pilot = claims.claiming_pilot(conn, keeper, request)
        if keeper.fenced:
            raise KeeperFenced(f"keeper {keeper_id} has been fenced")
        if pilot is None or pilot.agent != agent:
            raise Superseded("another agent decides for this node now")
        if epoch is not None and pilot.epoch != epoch:
            raise DatabaseReplaced
        if request <= keeper.last_request:
            grants = tuple(claims.granted(conn, keeper, request))
            return Claim(grants=grants, latest=keeper.last_request, repeated=True)
        if pilot.drained:
            return Claim(latest=request)
        admissions.renew(pilot)
        shared = locks.ClaimLocks()
        node = NodeClaim(
            keeper,
            pilot,
            request,
            (offered or pilot.enabled).within(pilot.enabled),
            room,
            at_most,
            avoid,
            admissions,
            shared,
            OwnerLimits(pilot.limited_owners, shared),
            ReservedNode(pilot.reserved),
        )
        by_queue: list[QueueClaim] = []
        for queue in IN_TURN:
            if queue in queues:
                one = QueueClaim(node, queue, after.get(queue) if after else None)
                one.take(conn)
                by_queue.append(one)
                lagging.update(one.lagging)
        node.reserved.settle(conn, keeper.node_id)
        return Claim(
            grants=tuple(grant for one in by_queue for grant in one.taken),
            held_back={t.queue: t.passed_over for t in by_queue if t.passed_over and t.has_room()},
            more={t.queue: t.place for t in by_queue if t.has_more and t.place},
            at_limit=node.limits.reached,
            latest=request,
        )

    claim = in_transaction(conn, work)
    _advance_cursors(conn, lagging)
    revisions = {grant.of_revision for grant in claim.grants} - set(known)
    if not revisions:
        return claim
    # After the transaction: a data set may have very many files. None of this ever changes, except that a task may
    # have been killed and deleted a moment ago.
    specs = task_specs.read(conn, revisions, {} if versions is None else versions)
    gone = revisions - specs.keys()
    left = tuple(grant for grant in claim.grants if grant.of_revision not in gone)
    return replace(claim, tasks=specs, grants=left)


def _advance_cursors(conn: psycopg.Connection, lagging: Mapping[int, int]) -> None:
    """Let the next claims from these tasks begin further on; each was asked for so many jobs."""
    if conn.info.transaction_status != TransactionStatus.IDLE:
        return  # the caller's transaction may last
    for task, limit in lagging.items():
        # The claim has been committed: its answer matters more than the cost of the next claim.
        with suppress(DatabaseUnavailable):
            claim_cursors.advance(conn, task, limit)
