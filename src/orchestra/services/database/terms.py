"""The term of a duty that one process carries out for all: taken, renewed, and checked in every transaction."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from uuid import uuid4

import psycopg

from orchestra.domain.errors import Superseded
from orchestra.store.cluster import leader
from orchestra.store.driver.database import in_transaction

TERM_SECONDS = 4.0
"""A term that is not renewed for this long is over: another process acts within 5 s."""
RENEW_EVERY = 1.0

log = logging.getLogger(__name__)


class TermHolder:
    """Takes and renews the term of one duty for one process, over one connection after the other."""

    _conn: psycopg.Connection

    def __init__(self, duty: str, *, name: str, preferred: bool = False) -> None:
        self._duty, self._name, self._preferred = duty, name, preferred
        self._holder = str(uuid4())
        self._term: leader.Term | None = None
        self._renewed_at = 0.0

    @property
    def is_held(self) -> bool:
        return self._term is not None

    def use(self, conn: psycopg.Connection) -> None:
        """Continue on a new connection, without a term."""
        self._conn, self._term = conn, None
        leader.set_limits(conn)

    def hold(self) -> bool:
        """Renew the term if that is due, or take it if it is free; return whether this process holds it."""
        now = time.monotonic()
        if self._term and now - self._renewed_at >= RENEW_EVERY and not self.renew():
            self._term = None
        if self._term is None:
            self._term = leader.acquire(
                self._conn,
                self._holder,
                self._name,
                TERM_SECONDS,
                preferred=self._preferred,
                duty=self._duty,
            )
            self._renewed_at = now
            if self._term:
                log.info("%s: held by %s (term %d)", self._duty, self._name, self._term.number)
                self._has_begun(self._term)
        return self.is_held

    def _has_begun(self, term: leader.Term) -> None:
        """Called when a term begins."""

    def renew(self) -> bool:
        """Prolong the term; False if it is over."""
        self._renewed_at = time.monotonic()
        generation = self._term.renew(self._conn, TERM_SECONDS) if self._term else None
        if generation is None:
            return False
        self._was_renewed(generation)
        return True

    def _was_renewed(self, generation: int) -> None:
        """Called after each renewal, with its number."""

    def transact(self, step: Callable[[], bool]) -> bool:
        """Run a step in a transaction of its own that has checked the term.

        Raises:
            Superseded: this process does not hold the term.
        """
        if self._term is None:
            raise Superseded

        def checked() -> bool:
            self.check(self._conn)
            return step()

        if time.monotonic() - self._renewed_at >= RENEW_EVERY and not self.renew():
            raise Superseded
        return in_transaction(self._conn, checked)

    def check(self, conn: psycopg.Connection) -> None:
        """Make sure until the end of a transaction on any connection that this process holds the term.

        Raises:
            Superseded: it does not.
        """
        term = self._term  # another thread may call this
        if term is None:
            raise Superseded
        term.check(conn)

    def lost(self) -> None:
        """Note that another process has taken the term."""
        self._term = None

    def resign(self) -> None:
        """Free the term at once for another process."""
        if self._term and not self._conn.closed:
            self._term.resign(self._conn)
            self._term = None

    def seconds_until_free(self) -> float:
        """Return when to try again to take the term. The jitter keeps processes that start together apart."""
        jitter = random.uniform(0.02, 0.2)  # noqa: S311 - not a secret
        return min(leader.free_in(self._conn, self._duty), RENEW_EVERY) + jitter
