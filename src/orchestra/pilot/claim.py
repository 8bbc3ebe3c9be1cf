"""Claims: jobs are asked for as slots come free, one request at a time."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic
from uuid import UUID

import psycopg

from orchestra.domain.errors import DatabaseReplaced, KeeperFenced, Superseded, UnknownKeeper
from orchestra.domain.models.work import Claim, Grant, TaskSpec
from orchestra.domain.states import Queue
from orchestra.pilot import appetite, slots
from orchestra.pilot.desk import Desk, boottime
from orchestra.pilot.keepers import Port
from orchestra.pilot.reconcile import Steward
from orchestra.pilot.report import Reporter, unless_said
from orchestra.pilot.state import Held, Note, Phase
from orchestra.services import work

log = logging.getLogger(__name__)

POLL_EVERY = 30.0
JITTER = 0.005
"""Seconds within which pilots that were woken together ask."""
BLOCKED_POLL = 5.0
"""While a job waits for more slots than are free: another node may have taken it."""
FAILED_PAUSE = 5.0
TASKS_KEPT = 200


def hold(grant: Grant, task: TaskSpec, keeper: UUID) -> Held:
    """Give a granted attempt as it enters the state."""
    note = Note(
        queue=task.queue,
        slots=slots.slots_of(task),
        task_folder=task.folder,
        folder_number=grant.folder_number,
        done_attempt=grant.done_attempt,
        complete_file=task.complete_file,
        timeout=task.timeout,
        grace=task.grace,
        memory=task.resources.memory_bytes,
        metrics_file=task.metrics_file,
    )
    return Held(grant.key, keeper, note, Phase.WAITING, grant=grant, task=task, granted=boottime())


class Claimer:
    """Asks for jobs as long as there are slots for them."""

    def __init__(self, desk: Desk, reporter: Reporter, steward: Steward) -> None:
        self.desk, self._reporter, self._steward = desk, reporter, steward
        self._asking = self._woken = False
        self._not_before = 0.0
        self._poll_at = 0.0

    def wake(self, *queues: Queue) -> None:
        """Ask again: somebody said that work has come."""
        self.desk.appetite.refresh(*queues)
        self._woken = self._asking
        self._not_before = monotonic() + random.uniform(0, JITTER)  # noqa: S311 - no secret

    def tick(self, now: float) -> float:
        """Ask for what there is room for; gives when to be called again."""
        if now >= self._poll_at:
            self.desk.appetite.refresh()
            self._poll_at = now + POLL_EVERY
        due = max(self._not_before, self.desk.pause_until)
        if now < due:
            return min(due, self._poll_at)
        self.desk.troubles.pop("claims", None)
        port = self.desk.keepers.current
        may = self.desk.keepers.all_heard and not self.desk.is_full
        if port and not self._asking and may:
            self._ask(port)
        return self._poll_at

    def _ask(self, port: Port) -> None:
        asked = appetite.wanted(self.desk.state, self.desk.appetite, boottime())
        if not asked:
            return
        self._asking = True
        desk, request = self.desk, self.desk.request + 1
        known, edition = frozenset(desk.tasks), desk.memory.known
        epoch = edition.epoch if edition else None
        offered = {queue: slots.offered(desk.state, queue) for queue in Queue}
        avoid = frozenset(desk.stalled.values()) | frozenset(desk.avoided)
        after = dict(desk.appetite.after)

        def call(conn: psycopg.Connection) -> Claim | None:
            try:
                return work.claim(
                    conn,
                    desk.agent,
                    port.id,
                    request,
                    asked,
                    known,
                    offered=offered,
                    at_most=appetite.AT_MOST,
                    avoid=avoid,
                    after=after,
                    epoch=epoch,
                    versions=desk.versions,
                )
            except DatabaseReplaced:
                conn.close()  # the courier attaches anew, and then is asked again
                return None

        desk.courier.ask(
            call,
            partial(self._granted, port, request, asked),
            partial(self._refused, port),
        )

    def _granted(
        self, port: Port, request: int, asked: Mapping[Queue, int], claim: Claim | None
    ) -> None:
        self._asking = False
        if claim is None:
            return
        self.desk.request = max(request, claim.latest)
        self.desk.tasks.update(claim.tasks)
        granted = [
            hold(grant, self.desk.tasks[grant.key.task_id], port.id) for grant in claim.grants
        ]
        for held in granted:
            self.desk.state.add(held)
        self.desk.appetite.learn(asked, granted, claim)
        if claim.held_back:
            self._poll_at = min(self._poll_at, monotonic() + BLOCKED_POLL)
        if self._woken or claim.repeated:
            # Perhaps for what came just after this answer was made. Or the answer was lost and made again, without what
            # is held back; or it was none, since another agent decided for this keeper while we were away, with higher
            # numbers.
            self._woken = False
            self.desk.appetite.refresh()
        self._hand_back(port, granted)
        self._forget_tasks()

    def _hand_back(self, port: Port, granted: Sequence[Held]) -> None:
        leaving = self.desk.state.leaving
        if not (leaving or port.dead):  # it may have died while the answer was on its way
            return
        for held in granted:
            self._reporter.give_back(
                held, "its pilot is leaving" if leaving else "its keeper has died"
            )

    def _forget_tasks(self) -> None:
        if len(self.desk.tasks) > TASKS_KEPT:
            needed = {held.key.task_id for held in self.desk.state.held.values()}
            self.desk.tasks = {t: spec for t, spec in self.desk.tasks.items() if t in needed}
            self.desk.appetite.forget(needed)
            self.desk.kit.inputs.keep(needed)

    def _refused(self, port: Port, error: Exception) -> None:
        self._asking = False
        if isinstance(error, Superseded):
            # Or the database was replaced by one that has never heard of us: the renewal tells.
            self._steward.renew_soon()
            self._not_before = monotonic() + POLL_EVERY
        elif isinstance(error, UnknownKeeper):
            port.registered, port.register_at = False, 0.0
            self._steward.renew_soon()
        elif isinstance(error, KeeperFenced):
            self._steward.retire(port)
        else:
            log.error("a claim failed: %s", error, exc_info=unless_said(error))
            self.desk.pause_claims(FAILED_PAUSE, f"claims fail: {error}")
