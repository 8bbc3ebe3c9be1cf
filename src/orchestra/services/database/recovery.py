"""A database that was replaced: restored from a dump, copied, or promoted from a standby that lagged behind.

What it says of running jobs may be long past, and it may never have heard of some that run. So its epoch is raised and
it *settles*: nothing is claimed, moved, ended or given away until every keeper that holds something has said what it
runs, or an admin says to go on without it. Whoever notices first raises the epoch: an agent that attaches, the
conductor, `user init`, `db restore`.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import ForeignDatabase
from orchestra.domain.models.cluster import DatabaseIdentity, KnownDatabase
from orchestra.services.users.rights import check_admin
from orchestra.store.cluster import cluster
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.mail import outbox

PATIENCE = 20.0
"""Seconds that living pilots get to come back by themselves; their connections back off to 10 s."""
GENERATIONS_IN_A_CRASH = 60
"""Renewals of the conductor's term, one a second, that a crash of PostgreSQL may take back, and more."""
COPIED = "it was restored, copied or promoted"
OLDER = "it was replaced by an older one"


def look(conn: psycopg.Connection, *, who: str) -> DatabaseIdentity:
    """Give which database this is; one that is not where it was last is noticed, and settles from now on."""
    found = cluster.read(conn)
    if not found.in_place and cluster.move_in(conn, COPIED):
        _note(conn, COPIED, who)
    return cluster.read(conn).identity if not found.in_place else found.identity


def recognise(
    conn: psycopg.Connection, known: KnownDatabase | None, *, who: str
) -> DatabaseIdentity:
    """The same, for somebody who remembers a database.

    Raises:
        ForeignDatabase: it is another cluster's.
    """
    identity = look(conn, who=who)
    if known is None:
        return identity
    if known.cluster != identity.cluster:
        raise ForeignDatabase(
            f"the database is that of another cluster ({identity.cluster}), not of the one whose jobs run here "
            f"({known.cluster}).",
            hint='Point "postgres" to the right one. Running jobs are not affected as long as their lease lasts.',
        )
    # A higher epoch says that somebody noticed before us.
    if identity.epoch <= known.epoch and _is_older(conn, identity, known):
        return begin(conn, OLDER, who=who, above=known.epoch)
    return identity


def _is_older(conn: psycopg.Connection, identity: DatabaseIdentity, known: KnownDatabase) -> bool:
    """Whether a number is lower than it was. One that is missing says nothing: its node may have been deleted."""
    if (
        identity.epoch < known.epoch
        or cluster.beat(conn) < known.generation - GENERATIONS_IN_A_CRASH
    ):
        return True
    written = cluster.report_sequences(conn, list(known.acknowledged))
    return any(number < known.acknowledged[keeper] for keeper, number in written.items())


def begin(conn: psycopg.Connection, reason: str, *, who: str, above: int = 0) -> DatabaseIdentity:
    """Raise the epoch, beyond `above`, and let the database settle."""

    def work() -> DatabaseIdentity:
        cluster.raise_epoch(conn, reason, above)
        _note(conn, reason, who)
        return cluster.read(conn).identity

    return in_transaction(conn, work)


def settle(conn: psycopg.Connection, *, patience: float = PATIENCE) -> bool:
    """Go on when every keeper that holds something has said what it runs; gives whether the database has settled."""

    def work() -> bool:
        if not cluster.lock_settling(conn, patience) or cluster.unheard_nodes(conn):
            return False
        _go_on(conn, "orchestra", "every node has said what it runs")
        return True

    return in_transaction(conn, work)


def accept(conn: psycopg.Connection, caller: Caller) -> Sequence[str] | None:
    """Go on at once; gives the nodes that have not said what they run, None where nothing was to settle.

    Raises:
        NotAllowed: the caller is no admin: what runs on any node may be run once more.
    """
    check_admin(caller, "take a database as it is")

    def work() -> Sequence[str] | None:
        if not cluster.lock_settling(conn, 0):
            return None
        nodes = cluster.unheard_nodes(conn)
        _go_on(conn, caller.name, "accepted as it is")
        return nodes

    return in_transaction(conn, work)


def _go_on(conn: psycopg.Connection, who: str, why: str) -> None:
    cluster.end_settling(conn)
    cluster.add_event(conn, "SETTLING", "SETTLED", who, why)
    channels.notify_workers(conn)


def _note(conn: psycopg.Connection, reason: str, who: str) -> None:
    # What waits in it may have been sent since it was copied, and is no news any more.
    outbox.set_all_aside(conn, f"set aside when the database was replaced: {reason}")
    cluster.add_event(conn, "SETTLED", "SETTLING", who, reason)
