"""Connections: their settings, and the message for each kind of failure."""

from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import psycopg
import pytest

from orchestra.cli.exit_statuses import status_of
from orchestra.domain.errors import ConfigurationError, DatabaseUnavailable
from orchestra.store.driver import channels, sqlstate
from orchestra.store.driver.database import check_address, check_version, connect, in_transaction


def parts_of(url: str) -> tuple[str, str, str]:
    """Return password, place (host and port) and database of a TCP address."""
    password, _, rest = url.partition("//orchestra:")[2].partition("@")
    place, _, database = rest.partition("/")
    return password, place, database


def refusal(url: str) -> DatabaseUnavailable:
    with pytest.raises(DatabaseUnavailable) as caught:
        connect(url)
    return caught.value


def test_a_connection_has_the_agreed_settings(database_url: str) -> None:
    with connect(database_url, name="a name", statement_timeout=7) as conn:
        wanted = [
            "application_name",
            "search_path",
            "timezone",
            "statement_timeout",
            "lock_timeout",
        ]
        found = [conn.execute(f"show {key}".encode()).fetchone() for key in wanted]
        assert found == [("a name",), ("orchestra",), ("UTC",), ("7s",), ("3s",)]
        assert conn.autocommit


WILFUL = {
    "jit": "on",
    "jit_above_cost": "0",
    "max_parallel_workers_per_gather": "4",
    "random_page_cost": "40",
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "idle_session_timeout": "1ms",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "timezone": "Asia/Kolkata",
    "search_path": "public",
    "datestyle": "German",
    "intervalstyle": "iso_8601",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "extra_float_digits": "-15",
}


def test_what_the_work_relies_on_is_the_connection_s_whatever_a_server_has_set(
    database_url: str,
) -> None:
    with connect(database_url) as conn:
        usual = {key: conn.execute(f"show {key}".encode()).fetchone() for key in WILFUL}
        for key, value in WILFUL.items():
            conn.execute(f"alter database {conn.info.dbname} set {key} = '{value}'".encode())
    with connect(database_url) as conn:
        assert {key: conn.execute(f"show {key}".encode()).fetchone() for key in WILFUL} == {
            **usual,
            "jit_above_cost": ("0",),
        }
        span = conn.execute("select interval '1 day 2 s', '2026-11-25 15:00+00'::timestamptz")
        assert span.fetchone() == (
            timedelta(days=1, seconds=2),
            datetime(2026, 11, 25, 15, tzinfo=UTC),
        )
        assert conn.execute("select 1764083412.3456789::float8").fetchone() == (1764083412.3456789,)
    assert usual["jit"] == ("off",)
    assert usual["synchronous_commit"] == ("on",)
    assert usual["default_transaction_isolation"] == ("read committed",)


def test_variables_of_libpq_do_not_change_what_is_read(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Kolkata")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=public")
    with connect(database_url) as conn:
        moment = conn.execute(
            "select '2026-11-25 15:00+00'::timestamptz, current_schemas(false)::text"
        )
        assert moment.fetchone() == (datetime(2026, 11, 25, 15, tzinfo=UTC), "{orchestra}")


def test_a_server_that_is_too_old_is_refused(database_url: str) -> None:
    address = check_address("postgresql://db.example.org/lab")
    check_version(address, 150000)
    with pytest.raises(DatabaseUnavailable) as caught:
        check_version(address, 140013)
    assert str(caught.value) == (
        "the database at db.example.org:5432 is PostgreSQL 14, and 15 is the oldest that Orchestra works with."
    )
    assert status_of(caught.value) == 2
    assert str(caught.value.hint).startswith("Upgrade that server, or use another")


def test_both_spellings_of_the_scheme_work(tcp_database_url: str) -> None:
    for scheme in ("postgres", "postgresql"):
        with connect(f"{scheme}{tcp_database_url[len('postgresql') :]}") as conn:
            assert conn.execute("select 1").fetchone() == (1,)


def test_options_of_the_address_stay(tcp_database_url: str) -> None:
    with connect(f"{tcp_database_url}?options=-c%20work_mem%3D5MB") as conn:
        assert conn.execute("show work_mem").fetchone() == ("5MB",)
        assert conn.execute("show search_path").fetchone() == ("orchestra",)


def test_a_wrong_password_is_named_and_not_shown(tcp_database_url: str) -> None:
    password, place, _ = parts_of(tcp_database_url)
    error = refusal(tcp_database_url.replace(password, "hunter2"))
    assert str(error) == (
        f'the database at {place} refused user "orchestra": password authentication failed.'
    )
    assert error.hint is not None
    assert '"postgres"' in error.hint
    assert error.__cause__ is None  # the driver's own text may contain the password


def test_no_password(tcp_database_url: str) -> None:
    password, place, _ = parts_of(tcp_database_url)
    error = refusal(tcp_database_url.replace(f":{password}", ""))
    assert str(error).startswith(f'the database at {place} asks user "orchestra" for a password')


def test_an_unknown_database(tcp_database_url: str) -> None:
    _, place, database = parts_of(tcp_database_url)
    error = refusal(tcp_database_url.replace(database, "nowhere"))
    assert str(error) == f'the database at {place} has no database "nowhere".'


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("wrong password", ("28P01", "auth_failed")),
        ("unknown database", ("3D000", "InitPostgres")),
        ("unknown setting", ("42704", None)),
    ],
)
def test_a_refusal_has_a_code_whatever_language_the_server_speaks(
    tcp_database_url: str, change: str, code: tuple[str, str | None]
) -> None:
    password, _, database = parts_of(tcp_database_url)
    url = {
        "wrong password": tcp_database_url.replace(password, "hunter2"),
        "unknown database": tcp_database_url.replace(database, "nowhere"),
        "unknown setting": f"{tcp_database_url}?options=-c%20no_such_setting%3D1",
    }[change]
    found = sqlstate.of_refusal(url, 5)
    assert found
    assert found[0] == code[0]
    assert code[1] in (None, found[1])


def test_who_is_let_in_and_who_is_not_answered_learn_no_code(tcp_database_url: str) -> None:
    assert sqlstate.of_refusal(tcp_database_url, 5) is None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert sqlstate.of_refusal(f"postgresql://ana@127.0.0.1:{port}/lab", 0.1) is None


def test_nothing_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = refusal(f"postgresql://ana:secret@127.0.0.1:{port}/lab")
    assert (
        str(error) == f"the database at 127.0.0.1:{port} cannot be reached: nothing listens there."
    )


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(DatabaseUnavailable, match="does not answer"):
            connect(f"postgresql://ana:secret@127.0.0.1:{port}/lab", connect_timeout=1)


def test_an_unknown_host() -> None:
    error = refusal("postgresql://ana:secret@no-such-host.invalid/lab")
    assert (
        str(error) == "the database at no-such-host.invalid:5432 cannot be reached: no such host."
    )


def test_a_socket_that_is_not_there(tmp_path: object) -> None:
    error = refusal(f"postgresql://ana:secret@/lab?host={quote(str(tmp_path), safe='')}")
    assert str(error) == f"the database in {tmp_path} cannot be reached: nothing listens there."


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite:///x.db",
        "postgre://ana:secret@host/lab",
        '"postgres://ana:secret@host/lab',
        "postgres://ana:sec@ret@host:5432/lab",
        "postgres://ana:sec/ret@host:5432/lab",
        "postgres://ana:12/secret@host:5432/lab",
        "postgres://ana:secret%@host:5432/lab",
        "postgres://ana:secret@host:port/lab",
        "postgres://ana:secret@[::1/lab",
        "postgres://ana:secret@host/lab?colour=blue",
        "postgres://ana:secret@host/lab\0",
    ],
)
def test_an_invalid_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(
        ConfigurationError, match="is not an address of a PostgreSQL server"
    ) as caught:
        connect(url)
    assert "sec" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_escaped_password_is_fine() -> None:
    url = "postgres://ana:s%40c%2Fr%3At@host:5433/lab?sslmode=require"
    assert check_address(url) == {
        "user": "ana",
        "password": "s@c/r:t",
        "host": "host",
        "port": "5433",
        "dbname": "lab",
        "sslmode": "require",
    }


def test_a_connection_that_dies_is_our_error(database_url: str) -> None:
    with connect(database_url) as conn, connect(database_url) as other:
        conn.execute("select 1")
        other.execute("select pg_terminate_backend(%s)", (conn.info.backend_pid,))
        with pytest.raises(DatabaseUnavailable):
            conn.execute("select 1")
        with pytest.raises(DatabaseUnavailable, match="is closed"):
            conn.execute("select 1")


def test_a_connection_that_dies_within_a_transaction_is_our_error(database_url: str) -> None:
    with connect(database_url) as conn, connect(database_url) as other:
        with pytest.raises(DatabaseUnavailable), conn.transaction():
            other.execute("select pg_terminate_backend(%s)", (conn.info.backend_pid,))
        with pytest.raises(DatabaseUnavailable), conn.transaction():
            pass


def test_a_slow_statement_ends_in_time(database_url: str) -> None:
    with connect(database_url, statement_timeout=0.05) as conn:
        with pytest.raises(DatabaseUnavailable, match="longer than allowed"):
            conn.execute("select pg_sleep(5)")
        assert conn.execute("select 1").fetchone() == (1,)


def test_a_lock_is_not_waited_for_without_end(database_url: str) -> None:
    hurried = connect(database_url, lock_timeout=0.05)
    with connect(database_url) as conn, hurried, conn.transaction():
        conn.execute("lock table person")
        with pytest.raises(DatabaseUnavailable, match="a lock that this needs"):
            hurried.execute("select * from person")


def test_a_missing_right_is_reported_in_one_sentence(conn: psycopg.Connection) -> None:
    role = f"guest_{conn.info.dbname}"
    conn.execute(f"create role {role}".encode())
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(f"set local role {role}".encode())
            with pytest.raises(DatabaseUnavailable, match="permission denied for") as caught:
                conn.execute("select from orchestra.task")
        assert "Its owner grants" in (caught.value.hint or "")
    finally:
        conn.execute(f"drop role {role}".encode())


def test_errors_about_a_statement_stay_what_they_are(conn: psycopg.Connection) -> None:
    conn.execute("insert into person (name, email) values ('ana', 'ana@example.org')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute("insert into person (name, email) values ('ana', 'ana@example.org')")


def test_a_deadlock_is_retried(database_url: str) -> None:
    with connect(database_url) as conn:
        conn.execute("create table counter (name text primary key, n integer)")
        conn.execute("insert into counter values ('a', 0), ('b', 0)")
    both_hold_one = threading.Barrier(2)
    tries = {"ab": 0, "ba": 0}

    def count(order: str) -> None:
        with connect(database_url) as conn:
            conn.execute("set deadlock_timeout to '50ms'")

            def work() -> None:
                tries[order] += 1
                conn.execute("update counter set n = n + 1 where name = %s", (order[0],))
                if tries[order] == 1:
                    both_hold_one.wait(10)
                conn.execute("update counter set n = n + 1 where name = %s", (order[1],))

            in_transaction(conn, work)

    threads = [threading.Thread(target=count, args=(order,)) for order in tries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    with connect(database_url) as conn:
        assert conn.execute("select n from counter").fetchall() == [(2,), (2,)]
    assert sorted(tries.values()) == [1, 2]


def test_the_last_try_shows_the_deadlock(conn: psycopg.Connection) -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise psycopg.errors.DeadlockDetected

    with pytest.raises(psycopg.errors.DeadlockDetected):
        in_transaction(conn, work, tries=3)
    assert len(calls) == 3
    with conn.transaction(), pytest.raises(psycopg.errors.DeadlockDetected):
        in_transaction(conn, work)
    assert len(calls) == 4


def test_who_repeats_statements_hears_notices(database_url: str) -> None:
    heard: list[tuple[str, str]] = []
    with connect(database_url, repeats=True) as conn:
        channels.listen(conn, lambda channel, payload: heard.append((channel, payload)))
        conn.execute("select pg_notify(%s, %s)", [channels.NODE, "7"])
        assert heard == [(channels.NODE, "7")]
