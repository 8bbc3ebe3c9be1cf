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
from orchestra.pilot import claim_policy, slots
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.keepers import KeeperHandle
from orchestra.pilot.lease import LeaseRenewal
from orchestra.pilot.report import Reporter, unexpected
from orchestra.pilot.state import LocalAttempt, Note, Phase
from orchestra.services import work

log = logging.getLogger(__name__)

POLL_EVERY = 30.0
JITTER = 0.005
"""Seconds within which pilots that were woken together ask."""
BLOCKED_POLL = 5.0
"""While a job waits for more slots than are free: another node may have taken it."""
FAILED_PAUSE = 5.0
TASKS_KEPT = 200


def hold(grant: Grant, task: TaskSpec, keeper: UUID) -> LocalAttempt:
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
    return LocalAttempt(
        grant.key, keeper, note, Phase.WAITING, grant=grant, task=task, granted=boottime()
    )


class Claimer:
    """Asks for jobs as long as there are slots for them."""

    def __init__(self, context: Context, reporter: Reporter, lease: LeaseRenewal) -> None:
        self.context, self._reporter, self._lease = context, reporter, lease
        self._asking = self._woken = False
        self._not_before = 0.0
        self._poll_at = 0.0

    def wake(self, *queues: Queue) -> None:
        """Ask again: somebody said that work has come."""
        self.context.appetite.refresh(*queues)
        self._woken = self._asking
        self._not_before = monotonic() + random.uniform(0, JITTER)  # noqa: S311 - no secret

    def tick(self, now: float) -> float:
        """Ask for what there is room for; gives when to be called again."""
        if now >= self._poll_at:
            self.context.appetite.refresh()
            self._poll_at = now + POLL_EVERY
        due = max(self._not_before, self.context.pause_until)
        if now < due:
            return min(due, self._poll_at)
        self.context.troubles.pop("claims", None)
        handle = self.context.keepers.current
        may = self.context.keepers.all_heard and not self.context.is_full
        if handle and not self._asking and may:
            self._ask(handle)
        return self._poll_at

    def _ask(self, handle: KeeperHandle) -> None:
        asked = claim_policy.wanted(self.context.state, self.context.appetite, boottime())
        if not asked:
            return
        self._asking = True
        context, request = self.context, self.context.request + 1
        known, edition = frozenset(context.tasks), context.database_memory.known
        epoch = edition.epoch if edition else None
        offered = {queue: slots.offered(context.state, queue) for queue in Queue}
        avoid = frozenset(context.stalled.values()) | frozenset(context.avoided)
        after = dict(context.appetite.after)

        def call(conn: psycopg.Connection) -> Claim | None:
            try:
                return work.claim(
                    conn,
                    context.agent,
                    handle.id,
                    request,
                    asked,
                    known,
                    offered=offered,
                    at_most=claim_policy.AT_MOST,
                    avoid=avoid,
                    after=after,
                    epoch=epoch,
                    versions=context.versions,
                )
            except DatabaseReplaced:
                conn.close()  # the courier attaches anew, and then is asked again
                return None

        context.database.submit(
            call,
            partial(self._granted, handle, request, asked),
            partial(self._refused, handle),
        )

    def _granted(
        self, handle: KeeperHandle, request: int, asked: Mapping[Queue, int], claim: Claim | None
    ) -> None:
        self._asking = False
        if claim is None:
            return
        self.context.request = max(request, claim.latest)
        self.context.tasks.update(claim.tasks)
        granted = [
            hold(grant, self.context.tasks[grant.key.task_id], handle.id) for grant in claim.grants
        ]
        for attempt in granted:
            self.context.state.add(attempt)
        self.context.appetite.learn(asked, granted, claim)
        if claim.held_back:
            self._poll_at = min(self._poll_at, monotonic() + BLOCKED_POLL)
        if self._woken or claim.repeated:
            # Perhaps for what came just after this answer was made. Or the answer was lost and made again, without what
            # is held back; or it was none, since another agent decided for this keeper while we were away, with higher
            # numbers.
            self._woken = False
            self.context.appetite.refresh()
        self._hand_back(handle, granted)
        self._forget_tasks()

    def _hand_back(self, handle: KeeperHandle, granted: Sequence[LocalAttempt]) -> None:
        draining = self.context.state.draining
        if not (draining or handle.dead):  # it may have died while the answer was on its way
            return
        for attempt in granted:
            self._reporter.release(
                attempt, "its pilot is leaving" if draining else "its keeper has died"
            )

    def _forget_tasks(self) -> None:
        if len(self.context.tasks) > TASKS_KEPT:
            needed = {attempt.key.task_id for attempt in self.context.state.attempts.values()}
            self.context.tasks = {t: spec for t, spec in self.context.tasks.items() if t in needed}
            self.context.appetite.forget(needed)
            self.context.launch.inputs.keep(needed)

    def _refused(self, handle: KeeperHandle, error: Exception) -> None:
        self._asking = False
        if isinstance(error, Superseded):
            # Or the database was replaced by one that has never heard of us: the renewal tells.
            self._lease.renew_soon()
            self._not_before = monotonic() + POLL_EVERY
        elif isinstance(error, UnknownKeeper):
            handle.registered, handle.register_at = False, 0.0
            self._lease.renew_soon()
        elif isinstance(error, KeeperFenced):
            self._lease.retire(handle)
        else:
            log.error("a claim failed: %s", error, exc_info=unexpected(error))
            self.context.pause_claims(FAILED_PAUSE, f"claims fail: {error}")
