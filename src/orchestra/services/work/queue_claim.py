"""What a claim takes from one queue."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

import psycopg

from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import Grant, Place
from orchestra.domain.reservation import ready_in, takes_over
from orchestra.domain.resources import Room
from orchestra.domain.states import Queue
from orchestra.services.work.admissions import Admissions
from orchestra.services.work.owner_limits import OwnerLimits
from orchestra.store.driver import channels
from orchestra.store.tasks import locks
from orchestra.store.work import attempts, claims, reservations

FIRST_PAGE, FURTHER_PAGE = 16, 256
"""Tasks of a queue that are read at a time. The first one mostly has all that a claim needs."""
TASKS_AT_MOST, LOOKS_AT_MOST = 8192, 64
"""Limits of one claim: tasks that it reads, and tasks that it finds without a job. The next claim continues there."""


@dataclass(slots=True)
class QueueClaim:
    """A claim from one queue: `room` is left to fill, with at most `jobs` jobs; `taken` are the grants.

    It has read the queue's tasks up to `place`; `has_more` if it stopped before the end. `passed_over` is what jobs
    need that would fit if the node were `idle` and do not fit now. It is `cut_short` at a task for which it may not
    wait (see `ClaimLocks`): the next claim begins there.
    """

    keeper: attempts.LockedKeeper
    pilot: claims.ClaimingPilot
    request: int
    queue: Queue
    idle: Room
    room: Room
    jobs: int
    avoid: Collection[int]
    shared: locks.ClaimLocks
    limits: OwnerLimits
    admissions: Admissions
    place: Place | None = None
    cut_short: bool = False
    has_more: bool = False
    passed_over: dict[Resources, None] = field(default_factory=dict)
    taken: list[Grant] = field(default_factory=list)
    lagging: dict[int, int] = field(default_factory=dict)

    def has_room(self) -> bool:
        """Whether any job of the queue could fit."""
        if self.queue is Queue.CPU:
            return self.room.cpus > 0
        return any(device.milli > 0 for device in self.room.devices)

    def take(self, conn: psycopg.Connection) -> None:
        """Claim what fits, in the queue's order, until room or tasks are used up or a job has to wait for slots."""
        fruitless = 0
        if not self.has_room():
            return
        for task in self._line(conn):
            if fruitless >= LOOKS_AT_MOST:
                self.has_more = True
                return
            self.place = task.place
            fits = self.idle.fits(task.request)
            limit = min(self.room.count(task.request), self.jobs) if fits else 0
            if limit:
                fruitless += not self._take_from(conn, task, limit)
            elif fits and self._must_wait(conn, task):
                return
            else:
                fruitless += 1
            if self.cut_short:
                self.place, self.has_more = task.before, True
                return
            if not self.has_room() or self.jobs <= 0:
                return

    def _slots(self, task: claims.Candidate) -> int:
        return task.request.cpus if self.queue is Queue.CPU else task.request.gpus or 1

    def _line(self, conn: psycopg.Connection) -> Iterator[claims.Candidate]:
        """Yield the tasks after `place`, a page at a time; beyond the first page only tasks that have jobs."""
        size, read, last = FIRST_PAGE, 0, self.place or claims.BEFORE_ALL
        room = replace(self.idle, seconds_left=self.room.seconds_left)
        while read < TASKS_AT_MOST:
            page = claims.candidates(
                conn,
                self.queue,
                self.pilot,
                room,
                self.avoid,
                not_of=self.limits.used_up(self.queue),
                not_here=self.admissions.refused,
                after=last,
                limit=size,
            )
            self.admissions.learn(
                conn, self.keeper.node, {t.placement for t in page if t.placement is not None}
            )
            here = [task for task in page if task.placement not in self.admissions.refused]
            there = claims.tasks_with_jobs(conn, [task.id for task in here]) if read else None
            yield from (task for task in here if there is None or task.id in there)
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
        self.passed_over[task.resources] = None
        node = self.keeper.node_id
        busy = reservations.busy_jobs(conn, node, self.queue)
        if any(of == task.id for of, _ in busy):
            return False
        taken = sum(job.slots for _, job in busy)
        most = self.idle.cpus if self.queue is Queue.CPU else len(self.idle.devices)
        expected = ready_in(self._slots(task) - most + taken, [job for _, job in busy])
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

    def _take_from(self, conn: psycopg.Connection, task: claims.Candidate, limit: int) -> bool:
        """Claim up to `limit` jobs of a task, as its owner's limits allow; False if it has none."""
        allowed = self.limits.count(conn, task.owner, task.request)
        if not allowed:
            self.cut_short = allowed is None
            return True
        taken = self._take_jobs(conn, task.id, min(limit, allowed))
        self.room = self.room.after(task.request, taken)
        self.limits.take(task.owner, task.request, taken)
        self.jobs -= taken
        if taken and self._slots(task) > 1:
            self._end_reservation(conn, task.id)
        return taken > 0

    def _take_jobs(self, conn: psycopg.Connection, task: int, limit: int) -> int:
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
