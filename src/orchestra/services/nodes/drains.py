"""Drains of nodes, now or at a moment; each is one transaction."""

from __future__ import annotations

from datetime import datetime

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.storable import check_reason
from orchestra.domain.wording import Action, words
from orchestra.services.nodes.nodes import locked
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.nodes import nodes as store


def drain(
    conn: psycopg.Connection,
    caller: Caller,
    name: str,
    *,
    reason: str | None,
    at: datetime | None = None,
) -> None:
    """Start no new job on a node, now or from a moment on; running jobs continue.

    Until that moment, no job is taken that cannot end before it. May be repeated, with another reason or moment.

    Raises:
        BadInput: the reason cannot be stored, or the moment has passed.
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or is to be drained later and is drained already.
    """

    check_reason(reason)
    if at is not None and at.tzinfo is None:
        raise BadInput("the moment of a drain needs a time zone.", field="at")

    def work() -> None:
        node = locked(conn, caller, name)
        if at is None:
            store.drain(conn, node.id, caller.name, reason)
        elif node.drained:
            raise Refused(
                f'node "{name}" is drained already.',
                hint=words(Action.RESUME_NODE(name=name), " lets it take jobs again."),
            )
        elif not store.plan_drain(conn, node.id, caller.name, reason, at):
            raise BadInput("that moment has passed.", field="at")
        channels.notify(conn, channels.NODE, str(node.id))

    in_transaction(conn, work)


def resume(conn: psycopg.Connection, caller: Caller, name: str) -> bool:
    """Let jobs start on a node again, and for good; return False if it was not drained, nor to be.

    Raises:
        NotFound: there is none with that name.
        Refused: it belongs to somebody else.
    """

    def work() -> bool:
        node = locked(conn, caller, name)
        affected = node.drained or node.drain_in is not None
        if affected:
            store.resume(conn, node, caller.name)
            channels.notify(conn, channels.NODE, str(node.id))
        return affected

    return in_transaction(conn, work)


def carry_out(conn: psycopg.Connection) -> bool:
    """Drain the nodes for which the planned moment has come; return whether there are any."""
    due = store.drain_due(conn)
    for node in due:
        channels.notify(conn, channels.NODE, str(node))
    return bool(due)
