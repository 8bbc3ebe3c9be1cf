"""The lease: the node's agent renews it, tells the keepers, and applies what the database answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from time import monotonic

import psycopg

from orchestra.domain.errors import DatabaseReplaced
from orchestra.domain.models.nodes import FoundResources
from orchestra.domain.models.pilots import HeartbeatReply
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.outcomes import STOPPED
from orchestra.pilot.supervise import Supervisor
from orchestra.services import work

log = logging.getLogger(__name__)

RENEW_EVERY = 10.0
RENEWALS_PER_LEASE = 4
"""At least, however short the lease."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A renewed lease. It counts from `asked_at` (CLOCK_BOOTTIME), before the request was sent.

    `found` is what the database knows now of the machine, `told` what it knows of the allocation (`LentState.told`).
    """

    asked_at: float
    reply: HeartbeatReply
    found: FoundResources | None = None
    told: tuple[datetime | None, bool] | None = None


class LeaseRenewal:
    """Renews the lease regularly and reports troubles with it."""

    def __init__(self, context: Context, supervisor: Supervisor, drain: Callable[[], None]) -> None:
        """`drain` is called when the database asks the pilot to stop."""
        self.context, self._supervisor, self._drain = context, supervisor, drain
        self._renewing = False
        self._renew_at = 0.0
        self._reported: tuple[Trouble, ...] = ()
        self._found: FoundResources | None = None

    def renew_soon(self, delay: float = 0.0) -> None:
        """Renew in `delay` seconds, even if the renewal is not due yet."""
        self._renew_at = min(self._renew_at, monotonic() + delay)

    def tick(self, now: float) -> float:
        """Renew when it is due; return the next wake-up."""
        if not self.context.node_id:
            return inf
        if self._supervisor.must_renew:
            self._supervisor.must_renew = False
            self._renew_at = now
        is_changed = self.context.found is not self._found
        lent = self.context.lent
        is_changed = is_changed or (lent is not None and lent.now != lent.told)
        if is_changed or self.context.reported_troubles != self._reported:
            self.renew_soon()  # so that `node list` shows them
        if now >= self._renew_at and not self._renewing:
            self._renew()
        # The answer to a renewal wakes the agent; the next one may long be due by then.
        return inf if self._renewing else self._renew_at

    def _renew(self) -> None:
        context = self.context
        self._renewing = True
        self._renew_at = monotonic() + min(RENEW_EVERY, context.lease / RENEWALS_PER_LEASE)
        # An incompatible keeper cannot be told of a new lease and keeps the one that it has.
        keepers = [
            handle.id
            for handle in context.keepers.handles.values()
            if not handle.dead and not handle.incompatible
        ]
        self._reported = reported = context.reported_troubles
        silent = sorted(context.unresponsive)
        found = context.found
        known = context.database_memory.known
        epoch = known.epoch if known else None
        window = context.opening.window
        lent = context.lent
        news, told = (lent.news, lent.now) if lent else (None, None)

        def call(conn: psycopg.Connection) -> Renewal | None:
            asked_at = boottime()
            try:
                reply = work.renew(
                    conn,
                    context.node_id,
                    context.agent,
                    keepers,
                    lease=context.lease,
                    expires=context.leases_expire,
                    troubles=reported,
                    silent=silent,
                    found=None if found is self._found else found,
                    window=window,
                    epoch=epoch,
                    news=news,
                )
            except DatabaseReplaced:
                conn.close()  # the database thread attaches again, which also renews
                return None
            return Renewal(asked_at, reply, found, told)

        context.database.submit(call, self._renewed, self._not_renewed, urgent=True)

    def _renewed(self, renewal: Renewal | None) -> None:
        self._renewing = False
        if renewal is None:
            return
        if renewal.reply.superseded:
            self.context.superseded = True
            return
        self._found = renewal.found
        if self.context.lent and renewal.told:
            self.context.lent.told = renewal.told
        self.context.database_memory.note_generation(renewal.reply.generation)
        self.apply(renewal)
        for handle in self.context.keepers.handles.values():
            if not handle.link and not handle.dead:
                handle.reconnect_at = min(handle.reconnect_at, monotonic())

    def _not_renewed(self, error: Exception) -> None:
        self._renewing = False
        log.error("renewing the lease failed: %s", error)

    def note_attached(self, renewal: Renewal) -> None:
        """Do what the database says to an agent that has just attached."""
        self._found = renewal.found
        self.apply(renewal)

    def apply(self, renewal: Renewal) -> None:
        """Do what the database says about this node: deadlines, slots, attempts to end, and whether to stop."""
        reply, state = renewal.reply, self.context.state
        self._extend_deadlines(renewal)
        if any(reply.enabled[queue] > state.enabled[queue] for queue in Queue):
            self.context.claim_policy.reset()
        if reply.memory_bytes != state.memory_bytes:
            self.context.claim_policy.reset()
        state.enabled.update(reply.enabled)
        state.memory_bytes, state.nice = reply.memory_bytes, reply.nice
        drain_in = inf if reply.drain_in is None else reply.drain_in
        self.context.opening.learn(reply.open_hours, renewal.asked_at + drain_in)
        for key, reason in reply.end:
            self._supervisor.end(key, reason)
        for key, reason in reply.recall:
            self._supervisor.recall(key, reason)
        if reply.leave or reply.leave_now:
            self._drain()
        leave_now = reply.leave_now
        if lent := self.context.lent:
            lent.idle = reply.idle
            if reply.idle is None:  # its pool was deleted
                self._drain()
                leave_now = True
        if leave_now:
            self._supervisor.end_all(STOPPED)

    def _extend_deadlines(self, renewal: Renewal) -> None:
        for handle in self.context.keepers.handles.values():
            if handle.id in renewal.reply.fenced and not handle.fenced:
                handle.fence()
                handle.reconciled = False
            if handle.link and not handle.fenced:
                deadline = renewal.asked_at + renewal.reply.lease
                handle.link.send_deadline(deadline, self.context.on_lease_lost)
