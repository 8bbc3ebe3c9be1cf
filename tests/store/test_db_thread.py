"""The database thread: order, retries, answers in the agent's thread, and notifications."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from orchestra.domain.errors import (
    DatabaseBusy,
    DatabaseSilent,
    DatabaseUnavailable,
    NotFound,
    OrchestraError,
    PoisonousRequest,
)
from orchestra.pilot import db_thread
from orchestra.pilot.db_thread import (
    BUSY_TRIES,
    POISONOUS_TRIES,
    UNEXPECTED_TRIES,
    DatabaseCallbacks,
    DatabaseThread,
    back_off,
    is_transient,
)
from orchestra.pilot.inbox import Inbox
from orchestra.store.driver.database import connect
from support.proxy import cable
from support.waiting import wait_until


class Agent:
    """Takes the place of an agent: records what the database thread reports."""

    def __init__(self, open_connection: Callable[[], psycopg.Connection]) -> None:
        self.open_connection = open_connection
        self.inbox = Inbox()
        self.reports: list[Any] = []
        self.attachments = 0
        self.rejected: OrchestraError | None = None
        listener = DatabaseCallbacks(
            connected=lambda greeting: self.reports.append(("connected", greeting)),
            rejected=lambda error: self.reports.append(("rejected", str(error))),
            unavailable=lambda error: self.reports.append(("unavailable", type(error))),
            notified=lambda channel, payload: self.reports.append((channel, payload)),
            delayed=lambda what: self.reports.append(("delayed", what)),
        )
        self.database = DatabaseThread(self._connect, self._attach, self.inbox, listener)

    def _connect(self) -> psycopg.Connection:
        return self.open_connection()

    def _attach(self, _conn: psycopg.Connection) -> int:
        if self.rejected:
            raise self.rejected
        self.attachments += 1
        return self.attachments

    def submit(self, call: Callable[[psycopg.Connection], Any], *, urgent: bool = False) -> None:
        self.database.submit(
            call, self.reports.append, lambda error: self.reports.append(type(error)), urgent=urgent
        )

    def end(self) -> None:
        self.database.stop(1)
        assert not self.database.is_alive()
        self.inbox.wakeup.close()

    def received(self, *wanted: Any) -> None:
        """Wait until all of this was reported."""

        def look() -> bool:
            self.inbox.run_calls()
            return all(item in self.reports for item in wanted)

        wait_until(look, describe=lambda: self.reports)


@pytest.fixture
def agent(database_url: str) -> Iterator[Agent]:
    found = Agent(partial(connect, database_url, name="db-thread"))
    yield found
    found.end()


def cut(conn: psycopg.Connection) -> None:
    conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name = 'db-thread' and datname = current_database()"
    )


def die(conn: psycopg.Connection) -> None:
    """End a connection like a server that crashes: without a message."""
    with socket.socket(fileno=os.dup(conn.pgconn.socket)) as end:
        end.shutdown(socket.SHUT_RDWR)
    conn.execute("select 1")


def test_requests_are_answered_in_order(agent: Agent) -> None:
    for number in range(20):
        agent.submit(lambda _, n=number: n)  # type: ignore[misc]
    agent.database.start()
    agent.received(19)
    assert [item for item in agent.reports if isinstance(item, int)] == list(range(20))


def test_answers_are_handled_in_the_agents_thread(agent: Agent) -> None:
    threads: list[str] = []
    agent.database.submit(
        lambda _: threads.append(threading.current_thread().name),
        lambda _: threads.append(threading.current_thread().name),
        lambda _: None,
    )
    agent.database.start()
    wait_until(lambda: threads == ["database"])
    agent.submit(lambda _: "done")
    agent.received("done")
    assert threads == ["database", threading.current_thread().name]


def test_a_request_is_repeated_when_its_connection_is_lost(
    agent: Agent, conn: psycopg.Connection
) -> None:
    tries: list[int] = []

    def call(its: psycopg.Connection) -> str:
        tries.append(1)
        if len(tries) == 1:
            cut(conn)
        its.execute("select 1")
        return "answered"

    agent.submit(call)
    agent.database.start()
    agent.received("answered", ("connected", 2), ("unavailable", DatabaseUnavailable))
    assert len(tries) == 2


def test_a_request_that_ends_each_connection_is_set_aside(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_thread, "back_off", lambda _: 0.01)
    tries: list[int] = []

    def dies(its: psycopg.Connection) -> None:
        tries.append(1)
        die(its)

    agent.submit(dies)
    agent.submit(lambda _: "next")
    agent.database.start()
    agent.received(PoisonousRequest, "next")
    assert len(tries) == POISONOUS_TRIES


def test_no_request_is_poisonous_while_every_connection_is_lost(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db_thread, "back_off", lambda _: 0.01)
    tries: list[int] = []

    def unlucky(its: psycopg.Connection) -> str:
        tries.append(1)
        if len(tries) <= 2 * POISONOUS_TRIES:
            die(its)
        return "answered"

    agent.submit(unlucky)
    agent.database.start()
    agent.received("answered")


def test_a_request_whose_connection_others_end_is_never_set_aside(
    agent: Agent, conn: psycopg.Connection
) -> None:
    tries: list[int] = []

    def unlucky(its: psycopg.Connection) -> str:
        tries.append(1)
        if len(tries) <= 2 * POISONOUS_TRIES:
            cut(conn)
        its.execute("select 1")
        return "answered"

    agent.submit(unlucky)
    agent.database.start()
    agent.received("answered")


def test_a_refused_request_is_answered_once_and_delays_no_other(agent: Agent) -> None:
    agent.submit(lambda conn: conn.execute("select 1 / 0"))
    agent.submit(lambda _: "next")
    agent.database.start()
    agent.received(psycopg.errors.DivisionByZero, "next")
    assert agent.reports.count(psycopg.errors.DivisionByZero) == 1
    assert agent.attachments >= UNEXPECTED_TRIES, "what was sent may have been altered on the way"


def test_an_unexpected_error_ends_the_connection_and_not_the_thread(agent: Agent) -> None:
    troubles = [KeyError("x"), psycopg.ProgrammingError("command status: BEGIN")]

    def call(_: psycopg.Connection) -> str:
        if troubles:
            raise troubles.pop()
        return "answered"

    agent.submit(call)
    agent.database.start()
    agent.received("answered", ("connected", 3))
    assert not [item for item in agent.reports if item[0] == "unavailable"]


def test_an_orchestra_error_is_an_answer_and_ends_nothing(agent: Agent) -> None:
    def call(_: psycopg.Connection) -> None:
        raise NotFound

    agent.submit(call)
    agent.submit(lambda _: "next")
    agent.database.start()
    agent.received(NotFound, "next")
    assert agent.attachments == 1


def times_out(conn: psycopg.Connection) -> None:
    conn.execute("set statement_timeout = 50")
    conn.execute("select pg_sleep(10)")


def test_a_request_that_always_times_out_delays_no_other(agent: Agent) -> None:
    agent.submit(times_out)
    for number in range(3):
        agent.submit(lambda _, n=number: n)  # type: ignore[misc]
    agent.database.start()
    agent.received(0, 1, 2, DatabaseBusy, ("delayed", None))
    said = [item for item in agent.reports if item in (0, 1, 2, DatabaseBusy)]
    assert said == [0, 1, 2, DatabaseBusy]
    told = [item[1] for item in agent.reports if isinstance(item, tuple) and item[0] == "delayed"]
    assert told[0].startswith("a request to the database failed 2 times in a row: ")
    assert agent.attachments == 1


def test_an_urgent_request_goes_first_and_is_retried_without_end(agent: Agent) -> None:
    order: list[str] = []

    def busy_at_first(_: psycopg.Connection) -> str:
        order.append("urgent")
        if order.count("urgent") <= BUSY_TRIES + 1:
            raise DatabaseBusy
        return "renewed"

    def usual(_: psycopg.Connection) -> None:
        order.append("usual")

    agent.submit(usual)
    agent.submit(usual)
    agent.submit(busy_at_first, urgent=True)
    agent.database.start()
    agent.received("renewed")
    assert order[:3] == ["urgent", "usual", "usual"]
    assert DatabaseBusy not in agent.reports


@pytest.mark.parametrize("at_work", [False, True])
def test_a_silent_connection_is_replaced(
    tcp_database_url: str, monkeypatch: pytest.MonkeyPatch, at_work: bool
) -> None:
    monkeypatch.setattr("orchestra.store.driver.database.MARGIN", 0.2)
    monkeypatch.setattr(db_thread, "PROBE_AFTER", 0.2)
    with cable(tcp_database_url) as line:
        url = line.url(tcp_database_url)
        agent = Agent(partial(connect, url, name="db-thread", statement_timeout=0.5))
        agent.database.start()
        agent.received(("connected", 1))
        line.mute()
        if at_work:
            agent.submit(lambda conn: conn.execute("select 7").fetchone())
            agent.received((7,))
        agent.received(("unavailable", DatabaseSilent), ("connected", 2))
        agent.end()


def test_the_victim_of_a_deadlock_is_retried(agent: Agent) -> None:
    tries: list[int] = []

    def call(_: psycopg.Connection) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise psycopg.errors.DeadlockDetected
        return "answered"

    agent.submit(call)
    agent.database.start()
    agent.received("answered")
    assert agent.attachments == 1


def test_notifications_arrive_at_rest_and_between_requests(
    agent: Agent, conn: psycopg.Connection
) -> None:
    agent.database.start()
    agent.received(("connected", 1))
    conn.execute("select pg_notify('orchestra_gpu', '')")
    agent.received(("orchestra_gpu", ""))
    agent.submit(lambda its: its.execute("select pg_notify('orchestra_node', '7'), 1").rowcount)
    agent.received(1, ("orchestra_node", "7"))


def test_a_lost_idle_connection_is_detected(agent: Agent, conn: psycopg.Connection) -> None:
    agent.database.start()
    agent.received(("connected", 1))
    cut(conn)
    agent.received(("connected", 2))
    conn.execute("select pg_notify('orchestra_cpu', '')")
    agent.received(("orchestra_cpu", ""))


def test_an_unavailable_database_is_reported_once(database_url: str) -> None:
    def nothing() -> psycopg.Connection:
        raise DatabaseUnavailable("nothing listens there.")

    agent = Agent(nothing)
    agent.submit(lambda _: "answered")
    agent.database.start()
    agent.received(("unavailable", DatabaseUnavailable))
    agent.open_connection = partial(connect, database_url, name="db-thread")
    agent.received("answered")
    assert agent.reports.count(("unavailable", DatabaseUnavailable)) == 1
    agent.end()


def test_a_rejection_is_not_an_outage(agent: Agent) -> None:
    agent.rejected = NotFound("there is no node")
    agent.database.start()
    agent.received(("rejected", "there is no node"))
    assert not [item for item in agent.reports if item[0] == "unavailable"]


def test_the_back_off_grows_up_to_a_limit_and_varies() -> None:
    assert 0.05 <= back_off(0) <= 0.1
    assert all(5 <= back_off(failures) <= 10 for failures in (7, 50, 5000))
    assert len({back_off(3) for _ in range(20)}) > 1


def test_errors_of_the_server_are_transient() -> None:
    assert is_transient(DatabaseUnavailable())
    assert is_transient(psycopg.errors.SerializationFailure())
    assert is_transient(psycopg.errors.DiskFull())
    assert not is_transient(psycopg.errors.UniqueViolation())
    assert not is_transient(NotFound())
