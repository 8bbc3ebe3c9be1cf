"""Changes under an idempotency key are made once, whatever happens to their answers."""

from __future__ import annotations

import json
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection
from pathlib import Path

import psycopg
import pytest

from orchestra.config import Settings
from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.interface import codec
from orchestra.interface.new_tasks import CreateTask
from orchestra.interface.remote import Remote
from orchestra.interface.remote.link import Address, Link
from orchestra.services import answers, datasets
from orchestra.store.driver.database import connect
from support.http_server import serving
from support.rights import FILES
from support.waiting import wait_until
from support.world import World

HASH = bytes(32)


def count(conn: psycopg.Connection, table: str) -> int:
    ((number,),) = conn.execute(f"select count(*) from {table}").fetchall()
    return int(number)


def adding(conn: psycopg.Connection, name: str) -> Callable[[], bytes]:
    """A change that adds a user, and its answer."""

    def change() -> bytes:
        conn.execute("insert into person (name, email) values (%s, 'a@b.org')", [name])
        return name.encode()

    return change


def test_the_same_key_gets_the_same_answer(conn: psycopg.Connection, ana: Caller) -> None:
    for name in ("bob", "eva"):
        assert answers.once(conn, ana.user, "key", HASH, adding(conn, name)) == b"bob"
    assert count(conn, "person") == 2
    with pytest.raises(BadInput, match="was used for another request"):
        answers.once(conn, ana.user, "key", bytes(31) + b"x", adding(conn, "eva"))
    assert count(conn, "person") == 2


def test_a_change_may_think_for_a_while_between_two_statements(
    conn: psycopg.Connection, ana: Caller
) -> None:
    setting = "idle_in_transaction_session_timeout"

    def change() -> bytes:
        ((found,),) = conn.execute(f"show {setting}").fetchall()
        return str(found).encode()

    assert answers.once(conn, ana.user, "key", HASH, change) == b"1min"
    assert conn.execute(f"show {setting}").fetchall() == [("10s",)]


def test_a_key_is_one_users(world: World, ana: Caller) -> None:
    bob = world.interface("bob")
    with closing(bob):
        answers.once(world.conn, ana.user, "key", HASH, adding(world.conn, "x"))


def test_a_change_that_fails_leaves_its_key(conn: psycopg.Connection, ana: Caller) -> None:
    def fail() -> bytes:
        adding(conn, "bob")()
        raise NotFound("there is no task 1.")

    for _ in range(2):
        with pytest.raises(NotFound):
            answers.once(conn, ana.user, "key", HASH, fail)
    assert (count(conn, "person"), count(conn, "api_answer")) == (1, 0)
    assert answers.once(conn, ana.user, "key", HASH, adding(conn, "bob")) == b"bob"


@pytest.mark.parametrize("state", ["40P01", "40001"])
def test_a_deadlock_is_tried_again_as_without_a_key(world: World, ana: Caller, state: str) -> None:
    conn, tries = world.conn, []

    def unlucky() -> bytes:
        tries.append(1)
        if len(tries) < 3:
            conn.execute(f"do $$ begin raise exception using errcode = '{state}'; end $$")
        return adding(conn, "bob")()

    assert answers.once(conn, ana.user, "key", HASH, unlucky) == b"bob"
    assert len(tries) == 3


# Over HTTP


@pytest.fixture
def server(database_url: str) -> Iterator[str]:
    """The socket of a server whose user is ana."""
    with serving(settings(database_url)) as path:
        yield path


def settings(database_url: str) -> Settings:
    return Settings(postgres=database_url, username="ana", email="ana@example.org")


@pytest.fixture
def new(conn: psycopg.Connection, ana: Caller) -> NewTask:
    datasets.register(conn, ana, "user.ana.grid", FILES)
    command = "run %DATA %IN %OUT"
    return NewTask(
        "user.ana.fit", command, "user.ana.grid", "user.ana.grid", "/data", "ana", "gauss"
    )


def remote(path: str) -> Remote:
    return Remote(Link(Address(socket=path), None, answer_within=20))


@dataclass
class Swallower:
    """A proxy that loses the first answers, after the server has given them; `then` is called after each loss."""

    upstream: str
    losses: int
    then: Callable[[], None] = lambda: None
    requests: list[bytes] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        while True:
            conn, _ = listening.accept()
            with conn:
                request = _whole(conn)
                if not request:
                    return
                self.requests.append(request)
                with socket.socket(socket.AF_UNIX) as server:
                    server.connect(self.upstream)
                    server.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                    answer = b"".join(iter(lambda: server.recv(1 << 16), b""))
                if self.losses:
                    self.losses -= 1
                    self.then()
                else:
                    conn.sendall(answer)


def _whole(conn: socket.socket) -> bytes:
    """Read a request with its body."""
    text = conn.recv(1 << 16)
    while text and len(text.partition(b"\r\n\r\n")[2]) < _length(text):
        text += conn.recv(1 << 16)
    return text


def _length(text: bytes) -> int:
    found = re.search(rb"Content-Length: (\d+)\r\n.*\r\n\r\n", text, re.DOTALL)
    return int(found[1]) if found else 1 << 20


@contextmanager
def swallowing(proxy: Swallower) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="orchestra-", dir="/tmp") as folder:
        path = str(Path(folder, "proxy"))
        with closing(socket.socket(socket.AF_UNIX)) as listening:
            listening.bind(path)
            listening.listen()
            thread = threading.Thread(target=proxy.serve, args=[listening])
            thread.start()
            yield path
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(path)
            thread.join(timeout=10)
            assert not thread.is_alive()


def test_a_task_whose_answer_was_lost_is_created_once(
    conn: psycopg.Connection, server: str, new: NewTask
) -> None:
    proxy = Swallower(server, losses=2)
    with swallowing(proxy) as path, closing(remote(path)) as ask:
        task = ask(CreateTask(new))
    assert len(proxy.requests) == 3
    assert (task.id, task.name, count(conn, "task")) == (0, "user.ana.fit", 1)


def test_a_server_that_dies_before_it_answers_is_waited_for(
    conn: psycopg.Connection, database_url: str, new: NewTask
) -> None:
    with serving(settings(database_url)) as first:
        proxy = Swallower(first, losses=1)
        with swallowing(proxy) as path, serving(settings(database_url)) as second:
            proxy.then = lambda: setattr(proxy, "upstream", second)
            with closing(remote(path)) as ask:
                assert ask(CreateTask(new)).name == "user.ana.fit"
    assert count(conn, "task") == 1


def post(path: str, new: NewTask, key: str) -> tuple[int, bytes]:
    """Post a task and return the status and the body."""
    conn = HTTPConnection("localhost")
    conn.sock = socket.socket(socket.AF_UNIX)
    conn.sock.connect(path)
    with closing(conn):
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        conn.request("POST", "/api/v1/tasks", codec.encode(CreateTask(new)), headers)
        answer = conn.getresponse()
        return answer.status, answer.read()


def test_posts_at_the_same_time_with_one_key_make_one_task(
    conn: psycopg.Connection, server: str, new: NewTask
) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: post(server, new, "one"), range(4)))
    assert found == [(200, found[0][1])] * 4
    assert codec.decode(Task, found[0][1]).id == 0
    assert count(conn, "task") == 1
    other = replace(new, volume="/other")
    status, body = post(server, other, "one")
    assert (status, count(conn, "task")) == (422, 1)
    assert "was used for another request" in json.loads(body)["detail"]
    for key in ("", "x" * 201, "a\tb"):
        status, body = post(server, new, key)
        assert status == 422, key
    assert post(server, new, "two")[0] == 409


def test_a_repetition_waits_for_the_first(
    database_url: str, conn: psycopg.Connection, ana: Caller
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> bytes:
        begun.set()
        assert go_on.wait(10)
        return b"done"

    with (
        connect(database_url) as first,
        connect(database_url) as second,
        ThreadPoolExecutor(2) as pool,
    ):
        one = pool.submit(answers.once, first, ana.user, "key", HASH, slow)
        assert begun.wait(10)
        two = pool.submit(answers.once, second, ana.user, "key", HASH, slow)
        waits = "wait_event_type = 'Lock' and datname = current_database()"
        waiting = f"select count(*) from pg_stat_activity where {waits}"
        wait_until(lambda: conn.execute(waiting).fetchall() == [(1,)], 10)
        go_on.set()
        assert (one.result(10), two.result(10)) == (b"done", b"done")
