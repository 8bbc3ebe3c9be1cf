"""Agreement with the database about keepers: register them, compare what they hold, and close out dead ones."""

from __future__ import annotations

import logging
from functools import partial
from math import inf
from time import monotonic
from uuid import UUID

from orchestra.domain import troubles
from orchestra.domain.errors import KeeperFenced, UnknownKeeper
from orchestra.domain.models.pilots import Reconciliation
from orchestra.pilot.context import Context
from orchestra.pilot.keeper_handle import KeeperHandle
from orchestra.pilot.keeper_process import has_agent
from orchestra.pilot.lease import LeaseRenewal
from orchestra.pilot.state import Phase
from orchestra.pilot.supervise import Supervisor
from orchestra.services import work

log = logging.getLogger(__name__)

RECONCILE_EVERY = 30.0
RETRY_SECONDS = 10.0


class Reconciler:
    """Registers, reconciles and closes out keepers, each when it is due."""

    def __init__(self, context: Context, supervisor: Supervisor, lease: LeaseRenewal) -> None:
        self.context, self._supervisor, self._lease = context, supervisor, lease
        self._reconciling: set[UUID] = set()
        self._reconcile_at = 0.0

    def tick(self, now: float) -> float:
        """Send what is due for each keeper; return the next wake-up."""
        if not self.context.node_id:
            return inf
        all_due = now >= self._reconcile_at
        if all_due:
            self._reconcile_at = now + RECONCILE_EVERY
        due = [self._reconcile_at]
        for handle in self.context.keepers.handles.values():
            if not handle.registered:
                due.append(self._register(handle, now))
            elif all_due or not handle.reconciled:
                self.reconcile(handle)
            elif handle.dead and not handle.closed_out:
                due.append(self._close_out(handle, now))
        return min(due)

    # Registration

    def _register(self, handle: KeeperHandle, now: float) -> float:
        """Register a keeper in the database; return when to retry."""
        if now < handle.register_at:
            return handle.register_at
        handle.register_at = inf  # until this is answered
        hello, context = handle.introduction(self.context.machine_id), self.context
        context.database.submit(
            lambda conn: work.register_keeper(
                conn, context.node_id, hello, lease=context.lease, expires=context.leases_expire
            ),
            lambda _: self._registered(handle),
            partial(self._not_registered, handle),
            urgent=True,
        )
        return handle.register_at

    def _registered(self, handle: KeeperHandle) -> None:
        handle.registered = True
        self._lease.renew_soon()  # the keeper needs its deadline

    def _not_registered(self, handle: KeeperHandle, error: Exception) -> None:
        if isinstance(error, KeeperFenced):
            handle.fence()
            handle.registered = True
        else:
            log.error("keeper %s could not be registered: %s", handle.id, error)
            handle.register_at = monotonic() + RETRY_SECONDS

    # Comparison

    def reconcile(self, handle: KeeperHandle) -> None:
        """Compare what a keeper holds with what was granted to it, up to the last claim that was answered."""
        if handle.id in self._reconciling:
            return
        if handle.incompatible and not handle.dead and has_agent(handle.hello):
            handle.reconciled = True  # its agent may still make it start what was granted: later
            return
        self._reconciling.add(handle.id)
        attempts = list(self.context.state.of_keeper(handle.id))
        keys = frozenset(attempt.key for attempt in attempts)
        started = [a for a in attempts if a.phase not in (Phase.WAITING, Phase.PREPARING)]
        folders = {attempt.key: attempt.note.folder_number for attempt in started}
        task_folders = {attempt.key: attempt.note.task_folder for attempt in started}
        request, keeper = self.context.request, handle.id
        self.context.database.submit(
            lambda conn: work.reconcile(conn, keeper, request, keys, folders, task_folders),
            partial(self._reconciled, handle),
            partial(self._not_reconciled, handle),
        )

    def _reconciled(self, handle: KeeperHandle, found: Reconciliation) -> None:
        self._reconciling.discard(handle.id)
        handle.reconciled = True
        if found.released:
            log.info("%d jobs were requeued that no keeper here holds", found.released)
        for key in found.end:
            self._supervisor.end(key, "its job was given to another attempt")
        for key in found.adopted:
            log.info("the database knows job %s again", key)
            if attempt := self.context.state.attempts.get(key):
                attempt.start_reported = False
        self._report_unknown(handle, found)

    def _report_unknown(self, handle: KeeperHandle, found: Reconciliation) -> None:
        name = f"unknown attempts of {handle.id}"
        self.context.troubles.pop(name, None)
        if found.unknown:
            jobs = [f"{key.task_id}/{key.index}" for key in found.unknown]
            self.context.troubles[name] = troubles.unknown_attempts(jobs)

    def _not_reconciled(self, handle: KeeperHandle, error: Exception) -> None:
        self._reconciling.discard(handle.id)
        handle.reconciled = True  # not again at once, but when it is due
        if isinstance(error, UnknownKeeper):  # it was given up long ago: its attempts must end
            handle.registered, handle.register_at, handle.reconciled = False, 0.0, False
        elif not isinstance(error, KeeperFenced):
            log.error("keeper %s could not be reconciled: %s", handle.id, error)

    # Dead keepers

    def _close_out(self, handle: KeeperHandle, now: float) -> float:
        """Report a keeper as dead when everything else about it is reported; return when to retry."""
        if any(self.context.state.of_keeper(handle.id)) or now < handle.close_out_at:
            return handle.close_out_at if handle.close_out_at > now else inf
        handle.close_out_at = inf  # until this is answered
        agent, keeper = self.context.agent, handle.id
        self.context.database.submit(
            lambda conn: work.close_out(conn, agent, keeper, "its keeper has died"),
            lambda _: self._closed_out(handle),
            partial(self._not_closed_out, handle),
        )
        return handle.close_out_at

    @staticmethod
    def _closed_out(handle: KeeperHandle) -> None:
        handle.closed_out = True

    @staticmethod
    def _not_closed_out(handle: KeeperHandle, error: Exception) -> None:
        log.error("keeper %s could not be closed out: %s", handle.id, error)
        handle.close_out_at = monotonic() + RETRY_SECONDS
