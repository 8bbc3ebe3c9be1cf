"""Connections over a bad network: waiting for an answer has a limit, and misplaced answers are rejected."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from weakref import ref

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from orchestra.domain.errors import AnswerGarbled, DatabaseBusy, DatabaseSilent, DatabaseUnavailable
from orchestra.store.driver import connection, deadlines
from orchestra.store.driver.database import connect, in_transaction, probe, set_statement_timeout
from support.proxy import Cable, cable


@pytest.fixture
def bad(tcp_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cable]:
    """A proxy to the database; the time limit for answers is 0.25 s longer than that for statements."""
    monkeypatch.setattr("orchestra.store.driver.database.MARGIN", 0.25)
    with cable(tcp_database_url) as found:
        yield found


@pytest.fixture
def conn(bad: Cable, tcp_database_url: str) -> Iterator[psycopg.Connection]:
    with connect(bad.url(tcp_database_url), statement_timeout=0.5) as found:
        yield found


def test_a_server_that_never_answers_is_given_up(bad: Cable, conn: psycopg.Connection) -> None:
    conn.execute("select 1")
    bad.mute()
    began = time.monotonic()
    with pytest.raises(DatabaseSilent) as caught:
        conn.execute("select 1")
    assert 0.7 < time.monotonic() - began < 5
    assert str(caught.value) == f"the database at 127.0.0.1:{bad.port} does not answer."
    assert conn.closed
    with pytest.raises(DatabaseUnavailable, match="is closed"):
        conn.execute("select 1")


def test_new_connections_work_beside_a_silent_one(
    bad: Cable, conn: psycopg.Connection, tcp_database_url: str
) -> None:
    bad.mute()
    with connect(bad.url(tcp_database_url)) as another:
        assert another.execute("select 1").fetchone() == (1,)
    with pytest.raises(DatabaseSilent):
        conn.execute("select 1")


@pytest.mark.parametrize("step", ["begin", "statement", "commit", "rollback", "savepoint"])
def test_waiting_has_a_limit_at_every_step_of_a_transaction(
    bad: Cable, conn: psycopg.Connection, step: str
) -> None:
    class Mistake(Exception):
        pass

    def work() -> None:
        if step == "begin":
            bad.mute()
        with conn.transaction():
            if step == "statement":
                bad.mute()
            conn.execute("select 1")
            if step == "savepoint":
                bad.mute()
                with conn.transaction():
                    pass
            bad.mute()
            if step == "rollback":
                raise Mistake

    with pytest.raises(DatabaseSilent) as caught:
        work()
    perhaps = "only the answer may have been lost" in (caught.value.hint or "")
    assert perhaps is (step == "commit")


def test_a_stopped_backend_is_given_up(conn: psycopg.Connection, stopped: object) -> None:
    del stopped
    with pytest.raises(DatabaseSilent):
        conn.execute("select 1")


@pytest.fixture
def stopped(conn: psycopg.Connection) -> Iterator[None]:
    """Stop the server's process for `conn`."""
    import signal

    pid = conn.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


def test_rows_that_stop_coming(bad: Cable, conn: psycopg.Connection) -> None:
    bad.mute_after(100_000)
    with pytest.raises(DatabaseSilent):
        conn.execute("select repeat('x', 1000) from generate_series(1, 1000)")


def test_a_copy_without_an_answer_times_out(bad: Cable, conn: psycopg.Connection) -> None:
    conn.execute("create table note (text text)")
    bad.mute()

    def work() -> None:
        with conn.cursor() as cursor, cursor.copy("copy note from stdin") as copy:
            for _ in range(100_000):
                copy.write_row(("x" * 1000,))

    with pytest.raises(DatabaseSilent):
        work()


def test_a_long_statement_may_get_more_time(conn: psycopg.Connection) -> None:
    with conn.transaction():
        set_statement_timeout(conn, 30)
        conn.execute("select pg_sleep(1)")
    with pytest.raises(DatabaseBusy):
        conn.execute("select pg_sleep(1)")
    assert conn.execute("select 1").fetchone() == (1,)


def test_an_idle_connection_is_not_shut_down(conn: psycopg.Connection) -> None:
    for _ in range(3):
        conn.execute("select 1")
        time.sleep(0.4)  # in total longer than any deadline
    assert conn.execute("select 1").fetchone() == (1,)


def test_many_connections_have_deadlines_of_their_own(
    bad: Cable, conn: psycopg.Connection, tcp_database_url: str
) -> None:
    bad.mute()
    found: list[object] = []

    def ask(its: psycopg.Connection) -> None:
        try:
            its.execute("select pg_sleep(0.2)")
            found.append("answered")
        except DatabaseSilent:
            found.append("silent")

    with connect(tcp_database_url, statement_timeout=0.5) as other:
        threads = [threading.Thread(target=ask, args=(its,)) for its in (conn, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(map(str, found)) == ["answered", "silent"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_minds_its_own_connections(tcp_database_url: str) -> None:
    with connect(tcp_database_url) as conn:
        conn.execute("select 1")
        child = os.fork()
        if not child:  # pragma: no cover - in the child
            try:
                with connect(tcp_database_url, statement_timeout=0.2) as its:
                    deadlines._watch  # noqa: B018
                    its.link.patience = 0.3
                    its.execute("set statement_timeout = 0")
                    its.execute("select pg_sleep(60)")
            except DatabaseSilent:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert conn.execute("select 1").fetchone() == (1,)


def test_a_closed_connection_leaves_no_deadline(tcp_database_url: str) -> None:
    conn = connect(tcp_database_url)
    conn.execute("select 1")
    gone = ref(conn.link._deadline)
    conn.close()
    del conn
    assert gone() is None


# Answers


def test_a_duplicated_answer_is_detected_before_the_commit(
    bad: Cable, conn: psycopg.Connection
) -> None:
    def work() -> None:
        with conn.transaction():
            bad.repeat()
            conn.execute("select 1")
            conn.execute("select 2")

    with pytest.raises(AnswerGarbled):
        work()
    assert conn.closed


def test_a_duplicated_begin_is_detected(bad: Cable, conn: psycopg.Connection) -> None:
    bad.repeat()
    with pytest.raises(AnswerGarbled), conn.transaction():
        conn.execute("select 1").fetchone()
    assert conn.closed


def test_a_duplicated_commit_is_detected_by_the_next_transaction(
    bad: Cable, conn: psycopg.Connection
) -> None:
    with conn.transaction():
        conn.execute("select 1")
        bad.repeat()
    with pytest.raises(AnswerGarbled), conn.transaction():
        pass


def test_an_own_error_does_not_hide_a_misplaced_answer(
    bad: Cable, conn: psycopg.Connection
) -> None:
    def work() -> None:
        with conn.transaction():
            bad.repeat()
            conn.execute("select 1 where false")
            if conn.execute("select 1").fetchone() is None:
                raise LookupError

    with pytest.raises(AnswerGarbled):
        work()


def test_duplicated_rows_are_detected(bad: Cable, conn: psycopg.Connection) -> None:
    bad.double_rows()
    with pytest.raises(AnswerGarbled):
        conn.execute("select 7")
    assert conn.closed


def test_an_altered_byte_at_most_closes_the_connection(bad: Cable, tcp_database_url: str) -> None:
    """Every single byte of an answer: the answer is parsed, or the connection is closed."""
    ended = 0
    for at in range(130):
        with connect(bad.url(tcp_database_url)) as conn:
            conn.link.patience = 0.2
            bad.garble(at)
            try:
                with conn.transaction():
                    conn.execute("select 'text' as word, 12 as number, true as yes").fetchall()
            except DatabaseUnavailable:
                ended += 1
                assert conn.closed
    assert ended > 50


def test_an_altered_notice_closes_the_connection(
    bad: Cable, conn: psycopg.Connection, tcp_database_url: str
) -> None:
    conn.execute("listen orchestra_cpu")
    bad.garble(12)  # in the channel's name
    with connect(tcp_database_url) as other:
        other.execute("notify orchestra_cpu")
    with pytest.raises(AnswerGarbled):
        list(conn.notifies(timeout=5))
    assert conn.closed


def test_a_probe_detects_an_answer_to_another_question(
    bad: Cable, conn: psycopg.Connection
) -> None:
    probe(conn)
    bad.repeat()
    conn.execute("select 1")
    with pytest.raises(AnswerGarbled):
        probe(conn)
    assert conn.closed


def test_a_busy_row_is_not_a_silent_database(
    conn: psycopg.Connection, tcp_database_url: str
) -> None:
    hurried = connect(tcp_database_url, lock_timeout=0.05)
    with hurried, conn.transaction():
        conn.execute("lock table person")
        with pytest.raises(DatabaseBusy, match="a lock that this needs"):
            hurried.execute("select * from person")


def test_a_programming_error_stays_one(conn: psycopg.Connection) -> None:
    with pytest.raises(psycopg.ProgrammingError):
        conn.execute("select %s, %s", [1])
    assert in_transaction(conn, lambda: 1) == 1
    assert conn.info.transaction_status == TransactionStatus.IDLE


def test_nothing_private_of_the_driver_is_overridden() -> None:
    ours = (connection.Connection, connection.Cursor)
    theirs = {name for kind in (psycopg.Connection, psycopg.Cursor) for name in dir(kind)}
    names = {name for kind in ours for name in vars(kind) if name in theirs}
    hidden = {name for name in names if name.startswith("_") and not name.startswith("__")}
    assert not hidden
    assert "wait" not in names
