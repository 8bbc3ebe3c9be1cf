"""Notification channels (LISTEN and NOTIFY): there is work, or a node should act."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from orchestra.domain.states import Queue
from orchestra.store.driver.sql import load

SQL = load("driver/channels")
CPU = "orchestra_cpu"
GPU = "orchestra_gpu"
WORK = {Queue.CPU: CPU, Queue.GPU: GPU}
CONDUCTOR = "orchestra_conductor"
NODE = "orchestra_node"
"""The payload is the id of the node that should renew; empty means every node."""
POOL = "orchestra_pool"
"""The payload is the name of a pool that has changed."""
TAIL = "tail "
"""Prefix of a payload that asks the pilot of attempt TASK/N/K for the end of its log."""
PART = "part "
"""Prefix of a payload that asks the pilot of the node with this id for the parts of logs in log_part."""
Heard = Callable[[str, str], None]


def listen(conn: psycopg.Connection, heard: Heard) -> None:
    """Call `heard(channel, payload)` for each notification that arrives while `conn` is used or read."""
    conn.add_notify_handler(lambda notice: heard(notice.channel, notice.payload))
    conn.execute(SQL.listen, prepare=False)  # several statements cannot be prepared


def listen_as_conductor(conn: psycopg.Connection) -> None:
    conn.execute(SQL.listen_as_conductor)


def listen_for_pools(conn: psycopg.Connection) -> None:
    """Be notified of changed pools, of work, and of what changes tasks."""
    conn.execute(SQL.listen_for_pools, prepare=False)  # several statements cannot be prepared


def read(conn: psycopg.Connection) -> None:
    """Handle the notifications that have arrived on an idle connection, without waiting.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    conn.pgconn.consume_input()
    while notice := conn.pgconn.notifies():
        if conn.pgconn.notify_handler:
            conn.pgconn.notify_handler(notice)


def notify_workers(conn: psycopg.Connection, *queues: Queue) -> None:
    """Notify pilots after the commit that there is work in these queues, or in all if none is given."""
    for queue in queues or Queue:
        notify(conn, WORK[queue])


def notify(conn: psycopg.Connection, channel: str, payload: str = "") -> None:
    """Notify the listeners of `channel` after the commit."""
    conn.execute(SQL.notify, {"channel": channel, "payload": payload})
