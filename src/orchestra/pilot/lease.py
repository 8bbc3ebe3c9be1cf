"""Agreement with the database: leases renewed, keepers made known, what is held compared with what was granted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import monotonic
from uuid import UUID

import psycopg

from orchestra.domain import troubles
from orchestra.domain.errors import DatabaseReplaced, KeeperFenced, UnknownKeeper
from orchestra.domain.models.pilots import HeartbeatReply, Reconciliation
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.keeper_process import has_agent
from orchestra.pilot.keepers import KeeperHandle
from orchestra.pilot.report import STOPPED
from orchestra.pilot.state import Phase
from orchestra.pilot.supervise import Supervisor
from orchestra.services import work

log = logging.getLogger(__name__)

RENEW_EVERY = 10.0
RENEWALS_A_LEASE = 4
"""At least, however short the lease."""
RECONCILE_EVERY = 30.0

Renewal = tuple[float, HeartbeatReply]
"""When the renewal was asked for (CLOCK_BOOTTIME: the lease counts from there), and the answer."""


class LeaseRenewal:
    """Keeps an agent's standing with the database."""

    def __init__(self, context: Context, supervisor: Supervisor, leave: Callable[[], None]) -> None:
        """`leave` is called when the database asks the pilot to go."""
        self.context, self._supervisor, self._leave = context, supervisor, leave
        self._renewing = False
        self._reconciling: set[UUID] = set()
        self._renew_at = self._reconcile_at = 0.0
        self._said: tuple[Trouble, ...] = ()

    def renew_soon(self, delay: float = 0.0) -> None:
        """Renew in `delay` seconds, not only when it is time."""
        self._renew_at = min(self._renew_at, monotonic() + delay)

    def tick(self, now: float) -> float:
        """Renew and reconcile when it is time; gives when to be called again."""
        if not self.context.node_id:
            return float("inf")
        if self._supervisor.renew_wanted:
            self._supervisor.renew_wanted = False
            self._renew_at = now
        if self.context.reported_troubles != self._said:
            self.renew_soon()  # so that `node list` says it
        if now >= self._renew_at and not self._renewing:
            self._renew()
        everyone = now >= self._reconcile_at
        if everyone:
            self._reconcile_at = now + RECONCILE_EVERY
        # The answer to a renewal under way wakes the agent; until then its time may long have passed.
        due = [float("inf") if self._renewing else self._renew_at, self._reconcile_at]
        for handle in self.context.keepers.handles.values():
            if not handle.registered:
                due.append(self._register(handle, now))
            elif everyone or not handle.reconciled:
                self.reconcile(handle)
            elif handle.dead and not handle.closed_out:
                due.append(self._close_out(handle, now))
        return min(due)

    # Renewal

    def _renew(self) -> None:
        context = self.context
        self._renewing = True
        self._renew_at = monotonic() + min(RENEW_EVERY, context.lease / RENEWALS_A_LEASE)
        handles = context.keepers.handles.values()
        # One that cannot be told of its lease keeps the one that it has.
        keepers = [handle.id for handle in handles if not handle.dead and not handle.incompatible]
        self._said = told = context.reported_troubles
        silent = sorted(context.unresponsive)
        known = context.database_memory.known
        epoch = known.epoch if known else None

        def call(conn: psycopg.Connection) -> Renewal | None:
            before = boottime()
            try:
                return before, work.renew(
                    conn,
                    context.node_id,
                    context.agent,
                    keepers,
                    lease=context.lease,
                    expires=context.leases_expire,
                    troubles=told,
                    silent=silent,
                    epoch=epoch,
                )
            except DatabaseReplaced:
                conn.close()  # the courier attaches anew, and that renews
                return None

        context.database.submit(call, self._renewed, self._not_renewed, urgent=True)

    def _renewed(self, renewal: Renewal | None) -> None:
        self._renewing = False
        if renewal is None:
            return
        if renewal[1].superseded:
            self.context.superseded = True
            return
        self.context.database_memory.hear(renewal[1].generation)
        self.take_standing(renewal)
        for handle in self.context.keepers.handles.values():
            if not handle.link and not handle.dead:
                handle.again_at = min(handle.again_at, monotonic())

    def _not_renewed(self, error: Exception) -> None:
        self._renewing = False
        log.error("the renewal of the lease failed: %s", error)

    def take_standing(self, renewal: Renewal) -> None:
        """Do what the database says about this node."""
        before, standing = renewal
        context = self.context
        for handle in context.keepers.handles.values():
            if handle.id in standing.fenced and not handle.fenced:
                self.retire(handle)
                handle.reconciled = False
            if handle.link and not handle.fenced:
                handle.link.send_deadline(before + standing.lease, context.on_lease_lost)
        if any(standing.enabled[queue] > context.state.enabled[queue] for queue in Queue):
            context.appetite.refresh()
        context.state.enabled.update(standing.enabled)
        for key, reason in standing.end:
            self._supervisor.end(key, reason)
        for key in standing.recall:
            self._supervisor.recall(key)
        if standing.leave or standing.leave_now:
            self._leave()
        if standing.leave_now:
            for key in list(context.state.attempts):
                self._supervisor.end(key, STOPPED)

    # Keepers and what they hold

    def _register(self, handle: KeeperHandle, now: float) -> float:
        """Make a keeper known to the database; gives when to try again."""
        if now < handle.register_at:
            return handle.register_at
        handle.register_at = float("inf")  # until this is answered
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
        self.renew_soon()  # a keeper needs its deadline

    def _not_registered(self, handle: KeeperHandle, error: Exception) -> None:
        if isinstance(error, KeeperFenced):
            self.retire(handle)
            handle.registered = True
        else:
            log.error("keeper %s could not be registered: %s", handle.id, error)
            handle.register_at = monotonic() + RENEW_EVERY

    def retire(self, handle: KeeperHandle) -> None:
        """Give a keeper no new jobs; it ends when it has nothing left to keep."""
        if not handle.retired:
            log.warning("keeper %s was fenced; another one takes its place", handle.id)
        handle.retired = handle.fenced = True
        if handle.link:
            handle.link.send_stop()

    def reconcile(self, handle: KeeperHandle) -> None:
        """Compare what a keeper holds with what was granted to it, up to the last claim that was answered."""
        if handle.id in self._reconciling:
            return
        if handle.incompatible and not handle.dead and has_agent(handle.hello):
            handle.reconciled = True  # it may yet be told to start what was granted: later
            return
        self._reconciling.add(handle.id)
        context = self.context
        keys = frozenset(attempt.key for attempt in context.state.of_keeper(handle.id))
        begun = [
            attempt
            for attempt in context.state.of_keeper(handle.id)
            if attempt.phase not in (Phase.WAITING, Phase.PREPARING)
        ]
        folders = {attempt.key: attempt.note.folder_number for attempt in begun}
        task_folders = {attempt.key: attempt.note.task_folder for attempt in begun}
        request, keeper = context.request, handle.id
        context.database.submit(
            lambda conn: work.reconcile(conn, keeper, request, keys, folders, task_folders),
            partial(self._reconciled, handle),
            partial(self._not_reconciled, handle),
        )

    def _not_reconciled(self, handle: KeeperHandle, error: Exception) -> None:
        self._reconciling.discard(handle.id)
        handle.reconciled = True  # not at once again, but when it is time
        if isinstance(
            error, UnknownKeeper
        ):  # it was given up long ago: what it runs is to be ended
            handle.registered, handle.register_at, handle.reconciled = False, 0.0, False
        elif not isinstance(error, KeeperFenced):
            log.error("keeper %s could not be reconciled: %s", handle.id, error)

    def _reconciled(self, handle: KeeperHandle, found: Reconciliation) -> None:
        self._reconciling.discard(handle.id)
        handle.reconciled = True
        if found.released:
            log.info("%d jobs went back that nobody here knows of", found.released)
        for key in found.end:
            self._supervisor.end(key, "its job was given to another attempt")
        for key in found.adopted:
            log.info("job %s is known to the database again", key)
            if attempt := self.context.state.attempts.get(key):
                attempt.announced = False
        self._report_unknown(handle, found)

    def _report_unknown(self, handle: KeeperHandle, found: Reconciliation) -> None:
        said = f"unknown attempts of {handle.id}"
        self.context.troubles.pop(said, None)
        if found.unknown:
            names = [f"{key.task_id}/{key.index}" for key in found.unknown]
            self.context.troubles[said] = troubles.unknown_attempts(names)

    def _close_out(self, handle: KeeperHandle, now: float) -> float:
        """Tell the database that a keeper is dead, once nothing of it is left to report; gives when to try again."""
        if any(self.context.state.of_keeper(handle.id)) or now < handle.close_out_at:
            return handle.close_out_at if handle.close_out_at > now else float("inf")
        handle.close_out_at = float("inf")  # until this is answered
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
        log.error("the death of keeper %s could not be told: %s", handle.id, error)
        handle.close_out_at = monotonic() + RENEW_EVERY
