"""Notifications (LISTEN and NOTIFY): there is work, or a node should act."""

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
"""The payload is the number of the node that should renew; empty means every node."""
TAIL = "tail "
"""So begins a payload that asks for the end of the log of attempt TASK/N/K, from the pilot that runs it."""
Heard = Callable[[str, str], None]


def listen(conn: psycopg.Connection, heard: Heard) -> None:
    """Have `heard(channel, payload)` called for each notice that comes in while `conn` is used or read."""
    conn.add_notify_handler(lambda notice: heard(notice.channel, notice.payload))
    conn.execute(SQL.listen, prepare=False)  # several statements cannot be prepared


def listen_as_conductor(conn: psycopg.Connection) -> None:
    conn.execute(SQL.listen_as_conductor)


def read(conn: psycopg.Connection) -> None:
    """Take in the notices that have arrived on a connection which rests. Never waits.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    conn.pgconn.consume_input()
    while notice := conn.pgconn.notifies():
        if conn.pgconn.notify_handler:
            conn.pgconn.notify_handler(notice)


def notify_workers(conn: psycopg.Connection, *queues: Queue) -> None:
    """Tell the pilots that there is work in these queues (all, where none is named), after the commit."""
    for queue in queues or Queue:
        notify(conn, WORK[queue])


def notify(conn: psycopg.Connection, channel: str, payload: str = "") -> None:
    """Tell who listens on `channel` when this transaction has committed."""
    conn.execute(SQL.notify, {"channel": channel, "payload": payload})
