"""A pilot claims jobs for the free slots of its node."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus

from orchestra.domain.errors import (
    DatabaseReplaced,
    DatabaseUnavailable,
    KeeperFenced,
    Superseded,
)
from orchestra.domain.models.work import (
    Claim,
    Grant,
    Place,
    Revision,
    SharedFiles,
)
from orchestra.domain.reservation import ready_in, takes_over
from orchestra.domain.states import Queue
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.tasks import locks
from orchestra.store.work import attempts, claim_cursors, claims, reservations, task_specs

FIRST_PAGE, FURTHER_PAGE = 16, 256
"""Tasks of a queue that are read at a time. The first one mostly has all that a claim needs."""
TASKS_AT_MOST, LOOKS_AT_MOST = 8192, 64
"""Limits of one claim: tasks that it reads, and tasks that it finds without a job. The next claim continues there."""


def claim(
    conn: psycopg.Connection,
    agent: UUID,
    keeper_id: UUID,
    request: int,
    free: Mapping[Queue, int],
    known: Collection[Revision] = (),
    *,
    offered: Mapping[Queue, int] | None = None,
    at_most: int = 1000,
    avoid: Collection[int] = (),
    after: Mapping[Queue, Place] | None = None,
    epoch: int | None = None,
    versions: MutableMapping[int, SharedFiles] | None = None,
) -> Claim:
    """Claim jobs for up to `free[queue]` slots of each queue, best task first; at most `at_most` jobs of each queue.

    Jobs that need more than `offered[queue]` slots (by default the node's enabled slots) are left to other nodes. For a
    job that needs more slots than are free now, one node reserves its slots, since small jobs would otherwise keep it
    from ever starting: what comes after it is held back on that node, and may start on others. Any node may claim it
    meanwhile. Tasks to `avoid` are left to other nodes, too. A claim reads a queue's tasks to the end, or up to a
    limit; then `more` in the result says where the next claim continues (`after`).

    Repeatable: `request` counts up; a request that was answered before gets the same answer again (less what has ended
    since), so that a lost answer loses no job; one below the keeper's `latest` claims nothing. `known` are the
    revisions of tasks that the agent has already (what they say never changes), `versions` are the files of data sets
    that it has (those of new revisions are added). Both are valid for one `epoch` of the database: a replaced database
    assigns numbers again.

    Raises:
        DatabaseReplaced: the database was replaced in the meantime; attach again. Nothing was claimed.
        KeeperFenced: the keeper has been fenced.
        Superseded: another agent decides for the node.
    """

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
        by_queue: list[_QueueClaim] = []
        shared = locks.ClaimLocks()
        for queue, slots in free.items():
            most = min(pilot.enabled[queue], (offered or pilot.enabled).get(queue, 0))
            place = after.get(queue) if after else None
            one = _QueueClaim(
                keeper, pilot, request, queue, most, slots, at_most, avoid, shared, place
            )
            one.take(conn)
            by_queue.append(one)
            lagging.update(one.lagging)
        return Claim(
            grants=tuple(grant for one in by_queue for grant in one.taken),
            held_back={t.queue: t.needed for t in by_queue if t.needed and t.free > 0},
            more={t.queue: t.place for t in by_queue if t.has_more and t.place},
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


@dataclass(slots=True)
class _QueueClaim:
    """A claim from one queue: `free` slots are left to fill, with at most `jobs` jobs; `taken` are the grants.

    It has read the queue's tasks up to `place`; `has_more` if it stopped before the end. `needed` is the fewest slots
    of a job that was passed over because fewer were left. It is `cut_short` at a task for which it may not wait (see
    `ClaimLocks`): the next claim begins there.
    """

    keeper: attempts.LockedKeeper
    pilot: claims.ClaimingPilot
    request: int
    queue: Queue
    offered: int
    free: int
    jobs: int
    avoid: Collection[int]
    shared: locks.ClaimLocks
    place: Place | None = None
    cut_short: bool = False
    has_more: bool = False
    needed: int | None = None
    taken: list[Grant] = field(default_factory=list)
    lagging: dict[int, int] = field(default_factory=dict)

    def take(self, conn: psycopg.Connection) -> None:
        """Claim what fits, in the queue's order, until slots or tasks are used up or a job has to wait for slots."""
        fruitless = 0
        if self.free <= 0:
            return
        for task in self._line(conn):
            if fruitless >= LOOKS_AT_MOST:
                self.has_more = True
                return
            self.place = task.place
            limit = min(self.free // task.slots, self.jobs)
            if limit:
                taken = self._take_from(conn, task.id, limit)
                if self.cut_short:
                    self.place, self.has_more = task.before, True
                    return
                self.free -= taken * task.slots
                self.jobs -= taken
                fruitless += not taken
                if taken and task.slots > 1:
                    self._end_reservation(conn, task.id)
            elif self._must_wait(conn, task):
                return
            else:
                fruitless += 1
            if self.free <= 0 or self.jobs <= 0:
                return

    def _line(self, conn: psycopg.Connection) -> Iterator[claims.Candidate]:
        """Yield the tasks after `place`, a page at a time; beyond the first page only tasks that have jobs."""
        size, read, last = FIRST_PAGE, 0, self.place or claims.BEFORE_ALL
        while read < TASKS_AT_MOST:
            page = claims.candidates(
                conn, self.queue, self.pilot, self.offered, self.avoid, after=last, limit=size
            )
            there = claims.tasks_with_jobs(conn, [task.id for task in page]) if read else None
            yield from (task for task in page if there is None or task.id in there)
            if len(page) < size:
                return
            last, size, read = page[-1].place, FURTHER_PAGE, read + len(page)
        self.place, self.has_more = last, True

    def _must_wait(self, conn: psycopg.Connection, task: claims.Candidate) -> bool:
        """Whether the node must reserve its slots for the next job of a task, which needs more than are left.

        One node does (see `domain/reservation.py`). A node that runs a job of the task will have the slots when that
        ends, and continues with smaller jobs meanwhile.
        """
        if not claims.tasks_with_jobs(conn, [task.id]):
            return False
        self.needed = min(task.slots, self.needed or task.slots)
        node = self.keeper.node_id
        busy = reservations.busy_jobs(conn, node, self.queue)
        if any(of == task.id for of, _ in busy):
            return False
        taken = sum(job.slots for _, job in busy)
        expected = ready_in(task.slots - self.offered + taken, [job for _, job in busy])
        held = reservations.of_task(conn, task.id)
        if held is None or held.node_id == node:
            passed_on = held.passed_on if held else 0
        elif takes_over(expected, held.ready_in, held.passed_on):
            passed_on = held.passed_on + 1
        else:
            return False
        return reservations.renew(
            conn, task.id, reservations.Reservation(node, expected, passed_on)
        )

    def _end_reservation(self, conn: psycopg.Connection, task: int) -> None:
        """End the reservation of slots for a task: this node has a job of it now, or none is left."""
        held = reservations.of_task(conn, task)
        if held is None:
            return
        elsewhere = held.node_id != self.keeper.node_id
        if elsewhere and claims.tasks_with_jobs(conn, [task]):
            return
        if reservations.end(conn, task) and elsewhere:
            channels.notify_workers(conn, self.queue)

    def _take_from(self, conn: psycopg.Connection, task: int, limit: int) -> int:
        """Claim up to `limit` jobs of a task; return how many."""
        first, shared = self.shared.share(conn, task)
        self.cut_short = first.has_jobs and not shared
        left, again = limit, shared
        while left and again:
            got = claims.claim_jobs(conn, task, first, self.keeper, self.request, left)
            self.taken += got.grants
            left -= len(got.grants)
            again = got.missed > 0
            if got.cursor_lags:
                self.lagging[task] = limit
        return limit - left


def _advance_cursors(conn: psycopg.Connection, lagging: Mapping[int, int]) -> None:
    """Let the next claims from these tasks begin further on; each was asked for so many jobs."""
    if conn.info.transaction_status != TransactionStatus.IDLE:
        return  # the caller's transaction may last
    for task, limit in lagging.items():
        # The claim has been committed: its answer matters more than the cost of the next claim.
        with suppress(DatabaseUnavailable):
            claim_cursors.advance(conn, task, limit)
