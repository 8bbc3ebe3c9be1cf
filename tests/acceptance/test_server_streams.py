"""Open streams of a real server: 200 pages at once, a writer elsewhere that never ends, a lost database, SIGTERM."""

from __future__ import annotations

import json
import selectors
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

import psycopg

from orchestra.store.cluster.events import add_task_event
from support.maestro import Maestro
from support.waiting import wait_until

PAGES = 200


class Reader:
    """Somebody who reads a stream over the server's Unix socket."""

    def __init__(self, path: Path, target: str, accept: str = "text/event-stream") -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode()
        )
        self.text = ""

    def read(self) -> None:
        """Take what has arrived."""
        self.text += self.socket.recv(1 << 16).decode()


def answers(path: Path) -> bool:
    """Whether somebody listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def read_all(readers: Iterable[Reader], expected: str) -> None:
    """Read until all of them have been told something."""
    with selectors.DefaultSelector() as selector:
        for reader in readers:
            if expected not in reader.text:
                selector.register(reader.socket, selectors.EVENT_READ, reader)
        deadline = time.monotonic() + 60
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(1):
                key.data.read()
                if expected in key.data.text:
                    selector.unregister(key.fileobj)
        left = [key.data.text for key in selector.get_map().values()]
        assert not left, f"{len(left)} were not told {expected}, such as {left[0]}"


def note(conn: psycopg.Connection, task: int) -> None:
    add_task_event(conn, task, before=None, after="TESTING", who="ana")


def events_in(reader: Reader) -> list[int]:
    """The tasks of the events that a program has read."""
    pages = [line[6:] for line in reader.text.splitlines() if line.startswith('data: {"events"')]
    return [event["task_id"] for page in pages for event in json.loads(page)["events"]]


def test_streams(
    maestro: Maestro, conn: psycopg.Connection, empty_database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    server = maestro.start("server", "run", "--port", 0, "--socket", path, stdout=None)
    wait_until(lambda: answers(path), 30)
    program = Reader(path, "/api/v1/events")
    pages = [Reader(path, "/api/v1/stream?topics=tasks,nodes") for _ in range(PAGES)]
    other = Reader(path, "/api/v1/stream?topics=task:8")
    read_all([program], "id: ")
    read_all([*pages, other], "retry: ")

    with psycopg.connect(empty_database_url) as elsewhere:
        elsewhere.execute("select pg_current_xact_id()")
        note(conn, 7)
        read_all(pages, '{"task":7}')
        assert events_in(program) == []
    read_all([program], '"task_id":7')

    conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like 'maestro server%' and datname = current_database()"
    )
    note(conn, 8)
    read_all([*pages, other], '{"task":8}')
    assert '{"task":7}' not in other.text, "this page shows another task"
    read_all([program], '"task_id":8')
    assert events_in(program) == [7, 8], "none twice"

    began = time.monotonic()
    server.send_signal(signal.SIGTERM)
    server.wait(30)
    assert time.monotonic() - began < 3
    for reader in [program, *pages, other]:
        reader.socket.close()
