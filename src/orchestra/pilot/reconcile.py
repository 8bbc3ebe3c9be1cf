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
from orchestra.pilot import link
from orchestra.pilot.desk import Desk, boottime
from orchestra.pilot.keepers import Port
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


class Steward:
    """Keeps an agent's standing with the database."""

    def __init__(self, desk: Desk, supervisor: Supervisor, leave: Callable[[], None]) -> None:
        """`leave` is called when the database asks the pilot to go."""
        self.desk, self._supervisor, self._leave = desk, supervisor, leave
        self._renewing = False
        self._reconciling: set[UUID] = set()
        self._renew_at = self._reconcile_at = 0.0
        self._said: tuple[Trouble, ...] = ()

    def renew_soon(self, delay: float = 0.0) -> None:
        """Renew in `delay` seconds, not only when it is time."""
        self._renew_at = min(self._renew_at, monotonic() + delay)

    def tick(self, now: float) -> float:
        """Renew and reconcile when it is time; gives when to be called again."""
        if not self.desk.node_id:
            return float("inf")
        if self._supervisor.renew_wanted:
            self._supervisor.renew_wanted = False
            self._renew_at = now
        if self.desk.told != self._said:
            self.renew_soon()  # so that `node list` says it
        if now >= self._renew_at and not self._renewing:
            self._renew()
        everyone = now >= self._reconcile_at
        if everyone:
            self._reconcile_at = now + RECONCILE_EVERY
        # The answer to a renewal under way wakes the agent; until then its time may long have passed.
        due = [float("inf") if self._renewing else self._renew_at, self._reconcile_at]
        for port in self.desk.keepers.ports.values():
            if not port.registered:
                due.append(self._register(port, now))
            elif everyone or not port.reconciled:
                self.reconcile(port)
            elif port.dead and not port.closed_out:
                due.append(self._close_out(port, now))
        return min(due)

    # Renewal

    def _renew(self) -> None:
        desk = self.desk
        self._renewing = True
        self._renew_at = monotonic() + min(RENEW_EVERY, desk.lease / RENEWALS_A_LEASE)
        ports = desk.keepers.ports.values()
        # One that cannot be told of its lease keeps the one that it has.
        keepers = [port.id for port in ports if not port.dead and not port.foreign]
        self._said = told = desk.told
        silent = sorted(desk.unanswering)
        known = desk.memory.known
        epoch = known.epoch if known else None

        def call(conn: psycopg.Connection) -> Renewal | None:
            before = boottime()
            try:
                return before, work.renew(
                    conn,
                    desk.node_id,
                    desk.agent,
                    keepers,
                    lease=desk.lease,
                    expires=desk.leases_expire,
                    troubles=told,
                    silent=silent,
                    epoch=epoch,
                )
            except DatabaseReplaced:
                conn.close()  # the courier attaches anew, and that renews
                return None

        desk.courier.ask(call, self._renewed, self._not_renewed, urgent=True)

    def _renewed(self, renewal: Renewal | None) -> None:
        self._renewing = False
        if renewal is None:
            return
        if renewal[1].superseded:
            self.desk.superseded = True
            return
        self.desk.memory.hear(renewal[1].generation)
        self.take_standing(renewal)
        for port in self.desk.keepers.ports.values():
            if not port.link and not port.dead:
                port.again_at = min(port.again_at, monotonic())

    def _not_renewed(self, error: Exception) -> None:
        self._renewing = False
        log.error("the renewal of the lease failed: %s", error)

    def take_standing(self, renewal: Renewal) -> None:
        """Do what the database says about this node."""
        before, standing = renewal
        desk = self.desk
        for port in desk.keepers.ports.values():
            if port.id in standing.fenced and not port.fenced:
                self.retire(port)
                port.reconciled = False
            if port.link and not port.fenced:
                port.link.send_deadline(before + standing.lease, desk.on_lease_lost)
        if any(standing.enabled[queue] > desk.state.enabled[queue] for queue in Queue):
            desk.appetite.refresh()
        desk.state.enabled.update(standing.enabled)
        for key, reason in standing.end:
            self._supervisor.end(key, reason)
        for key in standing.recall:
            self._supervisor.recall(key)
        if standing.leave or standing.leave_now:
            self._leave()
        if standing.leave_now:
            for key in list(desk.state.held):
                self._supervisor.end(key, STOPPED)

    # Keepers and what they hold

    def _register(self, port: Port, now: float) -> float:
        """Make a keeper known to the database; gives when to try again."""
        if now < port.register_at:
            return port.register_at
        port.register_at = float("inf")  # until this is answered
        hello, desk = port.introduction(self.desk.machine_id), self.desk
        desk.courier.ask(
            lambda conn: work.register_keeper(
                conn, desk.node_id, hello, lease=desk.lease, expires=desk.leases_expire
            ),
            lambda _: self._registered(port),
            partial(self._not_registered, port),
            urgent=True,
        )
        return port.register_at

    def _registered(self, port: Port) -> None:
        port.registered = True
        self.renew_soon()  # a keeper needs its deadline

    def _not_registered(self, port: Port, error: Exception) -> None:
        if isinstance(error, KeeperFenced):
            self.retire(port)
            port.registered = True
        else:
            log.error("keeper %s could not be registered: %s", port.id, error)
            port.register_at = monotonic() + RENEW_EVERY

    def retire(self, port: Port) -> None:
        """Give a keeper no new jobs; it ends when it has nothing left to keep."""
        if not port.retired:
            log.warning("keeper %s was fenced; another one takes its place", port.id)
        port.retired = port.fenced = True
        if port.link:
            port.link.send_stop()

    def reconcile(self, port: Port) -> None:
        """Compare what a keeper holds with what was granted to it, up to the last claim that was answered."""
        if port.id in self._reconciling:
            return
        if port.foreign and not port.dead and link.has_agent(port.hello):
            port.reconciled = True  # it may yet be told to start what was granted: later
            return
        self._reconciling.add(port.id)
        desk = self.desk
        held = frozenset(held.key for held in desk.state.of_keeper(port.id))
        begun = [
            held
            for held in desk.state.of_keeper(port.id)
            if held.phase not in (Phase.WAITING, Phase.PREPARING)
        ]
        folders = {held.key: held.note.folder_number for held in begun}
        task_folders = {held.key: held.note.task_folder for held in begun}
        request, keeper = desk.request, port.id
        desk.courier.ask(
            lambda conn: work.reconcile(conn, keeper, request, held, folders, task_folders),
            partial(self._reconciled, port),
            partial(self._not_reconciled, port),
        )

    def _not_reconciled(self, port: Port, error: Exception) -> None:
        self._reconciling.discard(port.id)
        port.reconciled = True  # not at once again, but when it is time
        if isinstance(
            error, UnknownKeeper
        ):  # it was given up long ago: what it runs is to be ended
            port.registered, port.register_at, port.reconciled = False, 0.0, False
        elif not isinstance(error, KeeperFenced):
            log.error("keeper %s could not be reconciled: %s", port.id, error)

    def _reconciled(self, port: Port, found: Reconciliation) -> None:
        self._reconciling.discard(port.id)
        port.reconciled = True
        if found.released:
            log.info("%d jobs went back that nobody here knows of", found.released)
        for key in found.end:
            self._supervisor.end(key, "its job was given to another attempt")
        for key in found.adopted:
            log.info("job %s is known to the database again", key)
            if held := self.desk.state.held.get(key):
                held.announced = False
        self._report_unknown(port, found)

    def _report_unknown(self, port: Port, found: Reconciliation) -> None:
        said = f"unknown attempts of {port.id}"
        self.desk.troubles.pop(said, None)
        if found.unknown:
            names = [f"{key.task_id}/{key.ordinal}" for key in found.unknown]
            self.desk.troubles[said] = troubles.unknown_attempts(names)

    def _close_out(self, port: Port, now: float) -> float:
        """Tell the database that a keeper is dead, once nothing of it is left to report; gives when to try again."""
        if any(self.desk.state.of_keeper(port.id)) or now < port.close_out_at:
            return port.close_out_at if port.close_out_at > now else float("inf")
        port.close_out_at = float("inf")  # until this is answered
        agent, keeper = self.desk.agent, port.id
        self.desk.courier.ask(
            lambda conn: work.close_out(conn, agent, keeper, "its keeper has died"),
            lambda _: self._closed_out(port),
            partial(self._not_closed_out, port),
        )
        return port.close_out_at

    @staticmethod
    def _closed_out(port: Port) -> None:
        port.closed_out = True

    @staticmethod
    def _not_closed_out(port: Port, error: Exception) -> None:
        log.error("the death of keeper %s could not be told: %s", port.id, error)
        port.close_out_at = monotonic() + RENEW_EVERY
