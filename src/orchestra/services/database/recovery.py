"""Recovery of a database that was replaced: restored from a dump, copied, or promoted from a lagging standby.

What it records about running jobs may be outdated, and some running jobs it may not know at all. So its epoch is raised
and it is *settling*: nothing is claimed, changed, ended or requeued until every keeper with attempts has reported what
it runs, or an admin accepts the database without it. The first process that notices raises the epoch: an agent that
attaches, the conductor, `user init`, `db restore`.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import ForeignDatabase
from orchestra.domain.models.cluster import DatabaseIdentity, KnownDatabase
from orchestra.services.tasks import running_limit
from orchestra.services.users.rights import check_admin
from orchestra.store.cluster import cluster
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.mail import outbox

PATIENCE = 20.0
"""Seconds that living pilots get to reconnect; their connections back off to 10 s."""
GENERATIONS_IN_A_CRASH = 60
"""Renewals of the conductor's term, one a second; more than a crash of PostgreSQL can undo."""
COPIED = "it was restored, copied or promoted"
OLDER = "it was replaced by an older one"


def identify(conn: psycopg.Connection, *, who: str) -> DatabaseIdentity:
    """Return the database's identity; a database that was copied or moved starts to settle."""
    found = cluster.read(conn)
    if not found.in_place and cluster.note_move(conn, COPIED):
        _note(conn, COPIED, who)
    return cluster.read(conn).identity if not found.in_place else found.identity


def recognise(
    conn: psycopg.Connection, known: KnownDatabase | None, *, who: str
) -> DatabaseIdentity:
    """Return the database's identity, compared with what a pilot remembers of it.

    Raises:
        ForeignDatabase: it belongs to another cluster.
    """
    identity = identify(conn, who=who)
    if known is None:
        return identity
    if known.cluster != identity.cluster:
        raise ForeignDatabase(
            f"the database is that of another cluster ({identity.cluster}), not of the one whose jobs run here "
            f"({known.cluster}).",
            hint='Point "postgres" to the right one. Running jobs are not affected as long as their lease lasts.',
        )
    # With a higher epoch, another process noticed before this one.
    if identity.epoch <= known.epoch and _is_older(conn, identity, known):
        return begin(conn, OLDER, who=who, above=known.epoch)
    return identity


def _is_older(conn: psycopg.Connection, identity: DatabaseIdentity, known: KnownDatabase) -> bool:
    """Whether a number is lower than it was. A missing one means nothing: its node may have been deleted."""
    if (
        identity.epoch < known.epoch
        or cluster.generation(conn) < known.generation - GENERATIONS_IN_A_CRASH
    ):
        return True
    written = cluster.report_sequences(conn, list(known.acknowledged))
    return any(number < known.acknowledged[keeper] for keeper, number in written.items())


def begin(conn: psycopg.Connection, reason: str, *, who: str, above: int = 0) -> DatabaseIdentity:
    """Raise the epoch, beyond `above`, and begin to settle."""

    def work() -> DatabaseIdentity:
        cluster.raise_epoch(conn, reason, above)
        _note(conn, reason, who)
        return cluster.read(conn).identity

    return in_transaction(conn, work)


def settle(conn: psycopg.Connection, *, patience: float = PATIENCE) -> bool:
    """End the recovery if every keeper with attempts has reported what it runs; return whether it has ended."""

    def work() -> bool:
        if not cluster.lock_recovery(conn, patience) or cluster.unreconciled_nodes(conn):
            return False
        _end(conn, "orchestra", "every node has reported what it runs")
        return True

    return in_transaction(conn, work)


def accept(conn: psycopg.Connection, caller: Caller) -> Sequence[str] | None:
    """End the recovery at once; return the nodes that have not reported, or None if there was no recovery.

    Raises:
        NotAllowed: the caller is not an admin: jobs of any node may run a second time.
    """
    check_admin(caller, "accept a recovering database")

    def work() -> Sequence[str] | None:
        if not cluster.lock_recovery(conn, 0):
            return None
        nodes = cluster.unreconciled_nodes(conn)
        _end(conn, caller.name, "accepted as it is")
        return nodes

    return in_transaction(conn, work)


def _end(conn: psycopg.Connection, who: str, why: str) -> None:
    # What keepers run although the database did not know it takes places, too.
    running_limit.withdraw_excess(conn, by="orchestra")
    cluster.end_recovery(conn)
    cluster.add_event(conn, "SETTLING", "SETTLED", who, why)
    channels.notify_workers(conn)


def _note(conn: psycopg.Connection, reason: str, who: str) -> None:
    # Pending mail may have been sent since the copy was made, and is outdated.
    outbox.set_all_aside(conn, f"set aside when the database was replaced: {reason}")
    cluster.add_event(conn, "SETTLED", "SETTLING", who, reason)
