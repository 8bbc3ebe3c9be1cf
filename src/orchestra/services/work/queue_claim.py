"""What a claim takes from one queue."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

import psycopg

from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import Grant, Place
from orchestra.domain.resources import Room
from orchestra.domain.states import Queue
from orchestra.services.work.admissions import Admissions
from orchestra.services.work.owner_limits import OwnerLimits
from orchestra.services.work.reserved_node import ReservedNode
from orchestra.store.tasks import locks
from orchestra.store.work import attempts, claims

FIRST_PAGE, FURTHER_PAGE = 16, 256
"""Tasks of a queue that are read at a time. The first one mostly has all that a claim needs."""
TASKS_AT_MOST, LOOKS_AT_MOST = 8192, 64
"""Limits of one claim: tasks that it reads, and tasks that it finds without a job. The next claim continues there."""


@dataclass(slots=True)
class NodeClaim:
    """What the queues of one claim share.

    Args:
        request: the claim's number.
        idle: the room of the node if nothing runs; `room` is left to fill.
        at_most: jobs of each queue.
        avoid: tasks that are left to other nodes.
        shared: the locks that the claim has.
    """

    keeper: attempts.LockedKeeper
    pilot: claims.ClaimingPilot
    request: int
    idle: Room
    room: Room
    at_most: int
    avoid: Collection[int]
    admissions: Admissions
    shared: locks.ClaimLocks
    limits: OwnerLimits
    reserved: ReservedNode


@dataclass(slots=True)
class QueueClaim:
    """A claim from one queue; `taken` are the grants.

    It has read the queue's tasks up to `place`; `has_more` if it stopped before the end. `passed_over` is what jobs
    need that would fit if the node were idle and do not fit now. It is `cut_short` at a task for which it may not wait
    (see `ClaimLocks`): the next claim begins there.
    """

    node: NodeClaim
    queue: Queue
    place: Place | None = None
    cut_short: bool = False
    has_more: bool = False
    passed_over: tuple[Resources, ...] = ()
    taken: list[Grant] = field(default_factory=list)
    lagging: dict[int, int] = field(default_factory=dict)

    def has_room(self) -> bool:
        """Whether any job of the queue could fit."""
        if self.queue is Queue.CPU:
            return self.node.room.cpus > 0
        return any(device.milli > 0 for device in self.node.room.devices)

    def _jobs_left(self) -> int:
        return self.node.at_most - len(self.taken)

    def take(self, conn: psycopg.Connection) -> None:
        """Claim what fits, in the queue's order, until room or tasks are used up."""
        fruitless = 0
        if not self.has_room():
            return
        for task in self._line(conn):
            if fruitless >= LOOKS_AT_MOST:
                self.has_more = True
                return
            self.place = task.place
            if limit := self._most(task):
                fruitless += not self._take_from(conn, task, limit)
            if self.cut_short:
                self.place, self.has_more = task.before, True
                return
            if not self.has_room() or self._jobs_left() <= 0:
                return
        if not self.has_more:
            self.passed_over = self._too_large(conn)

    def _line(self, conn: psycopg.Connection) -> Iterator[claims.Candidate]:
        """Yield the tasks after `place`, a page at a time; beyond the first page only tasks that have jobs."""
        size, read, last = FIRST_PAGE, 0, self.place or claims.BEFORE_ALL
        node = self.node
        while read < TASKS_AT_MOST:
            wanted = self._wanted(node.room, node.idle)
            page = claims.candidates(conn, wanted, after=last, limit=size)
            placed = {task.placement for task in page if task.placement is not None}
            node.admissions.learn(conn, node.keeper.node, placed)
            here = [task for task in page if task.placement not in node.admissions.refused]
            there = claims.tasks_with_jobs(conn, [task.id for task in here]) if read else None
            yield from (task for task in here if there is None or task.id in there)
            if len(page) < size:
                return
            last, size, read = page[-1].place, FURTHER_PAGE, read + len(page)
        self.place, self.has_more = last, True

    def _wanted(self, *rooms: Room) -> claims.Wanted:
        node = self.node
        return claims.Wanted(
            self.queue,
            node.pilot,
            rooms,
            node.avoid,
            not_of=node.limits.used_up(self.queue),
            not_here=node.admissions.refused,
            reserved=node.reserved.held,
        )

    def _most(self, task: claims.Candidate) -> int:
        """Return how many jobs of a task may be claimed, whatever the limits of its owner."""
        node = self.node
        if not node.idle.fits(task.request):
            return 0
        return min(node.room.count(task.request), self._jobs_left(), node.reserved.count(task))

    def _too_large(self, conn: psycopg.Connection) -> tuple[Resources, ...]:
        """Return what jobs need that do not fit now, and would if the node were idle."""
        room = self.node.room
        idle = replace(self.node.idle, seconds_left=room.seconds_left)
        if room == idle:
            return ()
        needs = claims.needs(conn, self._wanted(idle))
        return tuple(resources for resources, taken in needs if not room.fits(taken))

    def _take_from(self, conn: psycopg.Connection, task: claims.Candidate, limit: int) -> bool:
        """Claim up to `limit` jobs of a task, as its owner's limits allow; False if it has none."""
        node = self.node
        allowed = node.limits.count(conn, task.owner, task.request)
        if not allowed:
            self.cut_short = allowed is None
            return True
        taken = self._take_jobs(conn, task.id, min(limit, allowed))
        node.room = node.room.after(task.request, taken)
        node.limits.take(task.owner, task.request, taken)
        node.reserved.take(task, taken)
        return taken > 0

    def _take_jobs(self, conn: psycopg.Connection, task: int, limit: int) -> int:
        """Claim up to `limit` jobs of a task; return how many."""
        first, shared = self.node.shared.share(conn, task)
        self.cut_short = first.has_jobs and not shared
        left, again = limit, shared
        while left and again:
            got = claims.claim_jobs(conn, task, first, self.node.keeper, self.node.request, left)
            self.taken += got.grants
            left -= len(got.grants)
            again = got.missed > 0
            if got.cursor_lags:
                self.lagging[task] = limit
        return limit - left
