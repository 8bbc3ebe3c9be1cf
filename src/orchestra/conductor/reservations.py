"""The duty that reserves nodes for jobs that fit on none now. See `domain/reservation_plan.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import psycopg

from orchestra.domain.labels import labels_of
from orchestra.domain.models.placement import Placement
from orchestra.domain.placement import admits
from orchestra.domain.reservation_plan import Reservation, Waiting, differs, is_contested, plan
from orchestra.domain.states import Queue
from orchestra.store.nodes import reservations
from orchestra.store.tasks import live_tasks, placements

EVERY = 1.0
"""Seconds between two plans, at least."""
PART_OF_TIME = 0.05
"""The part of its time that the conductor spends on plans at most."""
OVERDUE = 60.0
"""Seconds after which a job that should fit on its node, and was not taken, is not going to be: pilots know more, such
as a GPU that has failed, or on which other programs compute. They look for work every 30 s."""
LEFT_FOR = 600.0
"""Seconds for which no node waits in vain again for the same task."""


class Reservations:
    """Remembers when the next plan is due, and whether there may be reservations."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at = 0.0
        self._may_hold = True
        self._placements: dict[int, Placement] = {}
        self._in_vain: dict[tuple[int, int], float] = {}

    def forget(self) -> None:
        """Look at the reservations at the next tick: another process may have been the conductor meanwhile."""
        self._may_hold = True

    def tick(self, conn: psycopg.Connection, line: Sequence[live_tasks.LiveTask]) -> set[Queue]:
        """Plan the reservations again, if that is due, for the tasks with ready jobs in the order of their ranks.

        Returns the queues whose pilots must be woken, because a node waits no longer.
        """
        began = self._clock()
        if began < self._due_at:
            return set()
        self._due_at = began + EVERY
        ready = [task for task in line if task.facts.counts.assigned]
        contested = is_contested({task.request for task in ready})
        if not contested and not self._may_hold:
            return set()
        held = reservations.held(conn, lock=True)
        self._note_in_vain(held, began)
        made = self._plan(conn, ready, held) if contested else []
        self._may_hold = bool(made)
        removed = _write(conn, made, held)
        self._due_at = max(self._due_at, began + (self._clock() - began) / PART_OF_TIME)
        return set(Queue) if removed else set()

    def _plan(
        self,
        conn: psycopg.Connection,
        ready: Sequence[live_tasks.LiveTask],
        held: Sequence[Reservation],
    ) -> list[Reservation]:
        there = reservations.serving_nodes(conn)
        hosts: dict[tuple[Queue, str, str | None, int | None], frozenset[int]] = {}
        waiting = []
        for task in ready:
            jobs = task.facts.counts.assigned - there.claimed.get(task.id, 0)
            if jobs <= 0:
                continue
            key = task.queue, task.account, task.image, task.placement
            if key not in hosts:
                allowed = self._placement(conn, task.placement)
                serve = (n for n in there.nodes if _serves(n, task, allowed))
                hosts[key] = frozenset(each.host.id for each in serve)
            in_vain = {host for of, host in self._in_vain if of == task.id}
            able = hosts[key] - in_vain if in_vain else hosts[key]
            waiting.append(Waiting(task.id, task.request, jobs, able, task.seconds or 0.0))
        return plan(waiting, [each.host for each in there.nodes], held)

    def _note_in_vain(self, held: Sequence[Reservation], now: float) -> None:
        """Note the nodes that wait for a job which should have started: a start stays recorded from when it fits."""
        self._in_vain = {key: until for key, until in self._in_vain.items() if until > now}
        self._in_vain |= {
            (each.task, each.host): now + LEFT_FOR for each in held if each.starts_in < -OVERDUE
        }

    def _placement(self, conn: psycopg.Connection, number: int | None) -> Placement | None:
        if number is None:
            return None
        if number not in self._placements:
            self._placements |= placements.some(conn, [number])
        return self._placements[number]


def _serves(
    each: reservations.ServingNode, task: live_tasks.LiveTask, allowed: Placement | None
) -> bool:
    return (
        each.offer.only in (None, task.queue)
        and each.offer.serves(task.account, task.image)
        and (allowed is None or admits(allowed, each.node.name, labels_of(each.node)))
    )


def _write(
    conn: psycopg.Connection, made: Sequence[Reservation], held: Sequence[Reservation]
) -> bool:
    """Record what has changed; whether a node waits no longer."""
    before: Mapping[int, Reservation] = {each.host: each for each in held}
    removed = before.keys() - {each.host for each in made}
    changed = [each for each in made if differs(each, before.get(each.host))]
    reservations.change(conn, changed, removed)
    return bool(removed)
