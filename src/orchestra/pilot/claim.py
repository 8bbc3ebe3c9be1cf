"""Claims: jobs are requested as slots become free, one request at a time."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from time import monotonic
from uuid import UUID

import psycopg

from orchestra.domain.errors import DatabaseReplaced, KeeperFenced, Superseded, UnknownKeeper
from orchestra.domain.models.work import Claim, Grant, TaskSpec
from orchestra.domain.resources import Request
from orchestra.domain.states import Queue
from orchestra.pilot import allocator
from orchestra.pilot.claim_policy import MAX_CLAIM, Asked, to_claim
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.keeper_handle import KeeperHandle
from orchestra.pilot.lease import LeaseRenewal
from orchestra.pilot.report import Reporter
from orchestra.pilot.start_report import if_unexpected
from orchestra.pilot.state import LocalAttempt, Note, Phase
from orchestra.services import work

log = logging.getLogger(__name__)

POLL_EVERY = 30.0
JITTER = 0.005
"""Seconds within which pilots that were woken together send their claims."""
BLOCKED_POLL = 5.0
"""Seconds until the next poll while a job waits for more than is free, which another node may have taken, or for its
owner's limits."""
FAILED_PAUSE = 5.0
MAX_TASKS = 200

request_of = lru_cache(Request.of)
"""What each job of a task takes. Attempts of a task share it, since notes with the same one are compared often."""


def local_attempt(grant: Grant, task: TaskSpec, keeper: UUID) -> LocalAttempt:
    """Return a granted attempt as it enters the agent's state."""
    note = Note(
        queue=task.queue,
        request=request_of(task.queue, task.resources),
        task_folder=task.folder,
        folder_number=grant.folder_number,
        done_attempt=grant.done_attempt,
        complete_file=task.complete_file,
        timeout=task.timeout,
        grace=task.grace,
        metrics_file=task.metrics_file,
    )
    return LocalAttempt(
        grant.key, keeper, note, Phase.WAITING, grant=grant, task=task, granted_at=boottime()
    )


class Claimer:
    """Claims jobs as long as there are slots for them."""

    def __init__(self, context: Context, reporter: Reporter, lease: LeaseRenewal) -> None:
        self.context, self._reporter, self._lease = context, reporter, lease
        self._claiming = self._woken = False
        self._not_before = 0.0
        self._poll_at = 0.0

    def wake(self, *queues: Queue) -> None:
        """Claim again, because work was announced."""
        self.context.claim_policy.reset(*queues)
        self._woken = self._claiming
        self._not_before = monotonic() + random.uniform(0, JITTER)  # noqa: S311 - not a secret

    def tick(self, now: float) -> float:
        """Claim jobs for free slots; return the next wake-up."""
        if now >= self._poll_at:
            self.context.claim_policy.reset()
            self._poll_at = now + POLL_EVERY
        due = max(self._not_before, self.context.pause_until)
        if now < due:
            return min(due, self._poll_at)
        self.context.troubles.pop("claims", None)
        keepers = self.context.keepers
        can_claim = keepers.all_connected and self.context.has_room
        can_claim = can_claim and not self.context.opening.is_closed
        can_claim = can_claim and (self.context.lent is None or self.context.lent.is_read)
        if keepers.current and can_claim and not self._claiming:
            self._claim(keepers.current)
        return self._poll_at

    def _claim(self, handle: KeeperHandle) -> None:
        context, policy = self.context, self.context.claim_policy
        asked = to_claim(context.state, policy, boottime())
        if asked is None:
            return
        self._claiming = True
        request = context.request + 1
        known, database = frozenset(context.tasks), context.database_memory.known
        epoch = database.epoch if database else None
        room = replace(asked.room, seconds_left=self._seconds_left())
        offered = allocator.offered(context.state)
        avoid = frozenset(context.stalled.values()) | frozenset(context.avoided)
        cursors = dict(policy.cursors)

        def call(conn: psycopg.Connection) -> Claim | None:
            try:
                return work.claim(
                    conn,
                    context.agent,
                    handle.id,
                    request,
                    room,
                    known,
                    queues=asked.queues,
                    offered=offered,
                    at_most=MAX_CLAIM,
                    avoid=avoid,
                    after=cursors,
                    epoch=epoch,
                    versions=context.versions,
                    admissions=context.admissions,
                )
            except DatabaseReplaced:
                conn.close()  # the database thread attaches again before the next claim
                return None

        context.database.submit(
            call, partial(self._granted, handle, request, asked), partial(self._failed, handle)
        )

    def _seconds_left(self) -> float:
        """Return the seconds within which jobs that start now must have ended."""
        left = self.context.opening.seconds_left(boottime())
        return min(left, self.context.lent.seconds_left) if self.context.lent else left

    def _granted(
        self, handle: KeeperHandle, request: int, asked: Asked, claim: Claim | None
    ) -> None:
        self._claiming = False
        if claim is None:
            return
        context = self.context
        context.request = max(request, claim.latest)
        context.tasks.update(claim.tasks)
        granted = [
            local_attempt(grant, context.tasks[grant.of_revision], handle.id)
            for grant in claim.grants
        ]
        for attempt in granted:
            context.state.add(attempt)
        context.claim_policy.record_claim(asked, granted, claim)
        if claim.held_back or claim.at_limit:
            self._poll_at = min(self._poll_at, monotonic() + BLOCKED_POLL)
        if self._woken or claim.repeated:
            # Work may have come just after this answer. A repeated answer lacks the blocked jobs, and it is empty if
            # another agent has claimed for this keeper meanwhile, with higher numbers.
            self._woken = False
            context.claim_policy.reset()
        self._release_unwanted(handle, granted)
        self._forget_tasks()

    def _release_unwanted(self, handle: KeeperHandle, granted: Sequence[LocalAttempt]) -> None:
        draining = self.context.state.draining
        if not (draining or handle.dead):  # the keeper may have died before the answer came
            return
        for attempt in granted:
            why = "its pilot is stopping" if draining else "its keeper has died"
            self._reporter.release(attempt, why)

    def _forget_tasks(self) -> None:
        context = self.context
        if len(context.tasks) > MAX_TASKS:
            attempts = context.state.attempts.values()
            tasks = {attempt.key.task_id for attempt in attempts}
            context.tasks = {each.task.key: each.task for each in attempts if each.task}
            context.claim_policy.forget_others(tasks)
            context.launch.inputs.keep(tasks)

    def _failed(self, handle: KeeperHandle, error: Exception) -> None:
        self._claiming = False
        if isinstance(error, Superseded):
            # Or a database that has replaced the old one does not know this agent. The renewal finds out.
            self._lease.renew_soon()
            self._not_before = monotonic() + POLL_EVERY
        elif isinstance(error, UnknownKeeper):
            handle.registered, handle.register_at = False, 0.0
            self._lease.renew_soon()
        elif isinstance(error, KeeperFenced):
            handle.fence()
        else:
            log.error("a claim failed: %s", error, exc_info=if_unexpected(error))
            self.context.pause_claims(FAILED_PAUSE, f"claims fail: {error}")
