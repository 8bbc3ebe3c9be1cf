"""Duties that one process carries out for all: rows with term, holder and expiry, by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain.errors import DatabaseUnavailable, Superseded
from orchestra.domain.troubles import Stuck, named
from orchestra.store.driver.sql import load

SQL = load("cluster/leader")
CONDUCTOR = "conductor"
LEVEL = 1
"""Raised when holders of older versions must not go on beside this one. 1: conductors know max_running."""


def duty_of_pool(name: str) -> str:
    """Return the duty to submit for a pool."""
    return f"pool:{name}"


@dataclass(frozen=True, slots=True)
class Troubles:
    """Tasks and duties that a conductor cannot continue with."""

    conductor: str = ""
    stuck: tuple[Stuck, ...] = ()

    def of_task(self, task: int) -> str | None:
        """The reason why a task makes no progress, or None."""
        why = next((each.why for each in self.stuck if each.what == task), None)
        if why:
            return f"The conductor ({self.conductor}) cannot continue with this task, and tries again: {why}."
        return None


@dataclass(frozen=True, slots=True)
class Term:
    """The right to carry out a duty, as long as it is renewed. Every transaction of the holder checks it first.

    `generation` counts the renewals of all terms up to the beginning of this one.
    """

    number: int
    holder: str
    generation: int = 0
    duty: str = CONDUCTOR

    @property
    def _params(self) -> dict[str, object]:
        return {"duty": self.duty, "term": self.number, "holder": self.holder}

    def renew(self, conn: psycopg.Connection, seconds: float) -> int | None:
        """Renew the term, and return the number of this renewal, which only grows; None if the term is over."""
        row = conn.execute(SQL.renew, {**self._params, "seconds": seconds}).fetchone()
        return int(row[0]) if row else None

    def check(self, conn: psycopg.Connection) -> None:
        """Check that no other process has the duty, until the transaction ends.

        Raises:
            Superseded: another process has it, or the term is over.
        """
        if conn.execute(SQL.check_term, self._params).fetchone() is None:
            raise Superseded(f"another process has the duty {self.duty} now")

    def note_stuck(self, conn: psycopg.Connection, stuck: Sequence[Stuck]) -> None:
        """Publish what makes no progress, and why."""
        params = {
            **self._params,
            "troubles": Jsonb({named(each.what): each.why for each in stuck}),
            "stuck": Jsonb([asdict(each) for each in stuck]),
        }
        conn.execute(SQL.note_stuck, params)

    def resign(self, conn: psycopg.Connection) -> None:
        """End the term, so that a successor can start at once."""
        conn.execute(SQL.resign, self._params)


def acquire(
    conn: psycopg.Connection,
    holder: str,
    name: str,
    seconds: float,
    *,
    preferred: bool,
    duty: str = CONDUCTOR,
) -> Term | None:
    """Take a duty that nobody has, or a holder of an older version; otherwise None."""
    params = {
        "duty": duty,
        "holder": holder,
        "name": name,
        "seconds": seconds,
        "preferred": preferred,
        "level": LEVEL,
    }
    try:
        row = conn.execute(SQL.acquire, params).fetchone()
    except DatabaseUnavailable:
        if conn.closed:
            raise
        return None  # its holder is in a transaction
    return Term(row[0], holder, row[1], duty) if row else None


def create(conn: psycopg.Connection, duty: str) -> None:
    """Create a duty, held by nobody, if there is none of that name."""
    conn.execute(SQL.create, {"duty": duty})


def troubles(conn: psycopg.Connection) -> Troubles:
    """Return the troubles of the current conductor."""
    row = conn.execute(SQL.troubles, {"duty": CONDUCTOR}).fetchone()
    if row is None:
        return Troubles()
    conductor, stuck, by_name = row
    if stuck is None:  # from a conductor of an older version
        return Troubles(conductor, tuple(Stuck(name, why) for name, why in by_name.items()))
    return Troubles(conductor, tuple(Stuck(each["what"], each["why"]) for each in stuck))


def set_limits(conn: psycopg.Connection) -> None:
    """Limit idle transactions of a holder's connection, in case its process is stopped."""
    conn.execute(SQL.limits)


def do_not_wait_for_disk(conn: psycopg.Connection) -> None:
    """Let this transaction's commit return before it is on disk. Work that a crash loses is repeated."""
    conn.execute(SQL.do_not_wait)


def free_in(conn: psycopg.Connection, duty: str = CONDUCTOR) -> float:
    """Return the seconds until the current term expires unless it is renewed; 0 if nobody has the duty."""
    row = conn.execute(SQL.free_in, {"duty": duty}).fetchone()
    return float(row[0]) if row else 0.0
