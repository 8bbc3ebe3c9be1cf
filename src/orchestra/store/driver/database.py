"""Connecting to PostgreSQL, with fixed settings and with Orchestra's errors for failures."""

from __future__ import annotations

import random
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from orchestra.domain.errors import AnswerGarbled, ConfigurationError, DatabaseUnavailable
from orchestra.store.driver.connection import Connection, Cursor
from orchestra.store.driver.server import OLDEST, place
from orchestra.store.driver.sql import load

SCHEMA = "orchestra"
STATEMENT_TIMEOUT = 5.0
LOCK_TIMEOUT = 3.0
IDLE_IN_TRANSACTION_TIMEOUT = 10.0
CONNECT_TIMEOUT = 5.0
MARGIN = 3.0
"""Seconds for the transfer of an answer, in addition to the statement timeout."""

# Required settings, whatever the server, the database or the role has set. The last three are about
# plans.
_RELIED_ON = {
    "search_path": SCHEMA,
    "timezone": "UTC",
    "datestyle": "ISO",  # this and the next: what psycopg can parse
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": "1",  # timestamps and floats without loss
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",  # an outcome leaves its spool after the commit
    "idle_session_timeout": "0",  # an idle pilot is silent
    "jit": "off",  # compiling takes seconds for plans with a high estimated cost
    "max_parallel_workers_per_gather": "0",
    "random_page_cost": "1.1",
}

WIRE: Mapping[str, Any] = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""TCP settings of every connection: a machine that is gone is noticed within about 20 s."""

# A plan made while tables are small must be good for large ones, too. So each row is looked up by
# its key: other joins scan a whole table, which is cheap only while it is small.
_ONE_PLAN = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

T = TypeVar("T")


def connect(
    url: str,
    *,
    name: str = "maestro",
    connect_timeout: float = CONNECT_TIMEOUT,
    statement_timeout: float = STATEMENT_TIMEOUT,
    lock_timeout: float = LOCK_TIMEOUT,
    idle_in_transaction_timeout: float = IDLE_IN_TRANSACTION_TIMEOUT,
    repeats: bool = False,
) -> Connection:
    """Connect in autocommit mode. Use `with conn.transaction()` for transactions.

    Times are in seconds; 0 is no limit. `name` is shown in pg_stat_activity. A server that does not answer is given
    up MARGIN seconds after the statement timeout. With `repeats` each statement is planned once, for all values: for
    callers that run the same few statements repeatedly.

    Raises:
        ConfigurationError: the address is invalid.
        DatabaseUnavailable: there is no server, it refuses the connection, or it is too old.
    """
    address = check_address(url)
    options = {
        **_RELIED_ON,
        "statement_timeout": _milliseconds(statement_timeout),
        "lock_timeout": _milliseconds(lock_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(idle_in_transaction_timeout),
        **(_ONE_PLAN if repeats else {}),
    }
    wanted = {
        "application_name": name,
        "client_encoding": "UTF8",
        "connect_timeout": max(2, round(connect_timeout)),  # libpq's minimum
        **WIRE,
        "options": " ".join([address.get("options", ""), *map(_option, options.items())]),
    }
    try:
        conn = Connection.connect(
            url,
            cursor_factory=Cursor,
            autocommit=True,
            prepare_threshold=0 if repeats else 5,
            **wanted,
        )
    except psycopg.Error as error:
        from orchestra.store.driver import refusals, sqlstate

        def ask() -> refusals.Code | None:
            return sqlstate.of_refusal(make_conninfo(url, **wanted), connect_timeout)

        raise refusals.explain(
            address, str(error), ask
        ) from None  # the text may contain the password
    try:
        check_version(address, conn.info.server_version)
    except DatabaseUnavailable:
        conn.close()
        raise
    if not _has_parsable_dates(conn):  # PGTZ and PGDATESTYLE override `options`
        conn.execute(load("driver/session").set_formats)
    conn.add_notice_handler(conn.link.note)
    conn.link.place = place(address)
    conn.link.patience = statement_timeout + MARGIN if statement_timeout else None
    return conn


def _has_parsable_dates(conn: psycopg.Connection) -> bool:
    style = conn.info.parameter_status("DateStyle") or ""
    return style.startswith("ISO") and conn.info.parameter_status("TimeZone") == "UTC"


def check_version(address: dict[str, str], number: int) -> None:
    """Check that a server, whose version is written like 150018, is not too old.

    Raises:
        DatabaseUnavailable: it is.
    """
    if number < OLDEST * 10_000:
        from orchestra.store.driver import refusals

        raise DatabaseUnavailable(
            f"{place(address)} is PostgreSQL {number // 10_000}, and {OLDEST} is {refusals.NEEDED}.",
            hint=refusals.UPGRADE_IT,
        )


def check_address(url: str) -> dict[str, str]:
    """Return the parts of a postgres:// or postgresql:// address, by libpq's names.

    Raises:
        ConfigurationError: the address is invalid. The message does not show it, since it may contain a password.
    """
    wrong = ConfigurationError(
        '"postgres" is not an address of a PostgreSQL server.',
        hint="It looks like postgresql://user:password@host:5432/database; in a password, write @ as %40, "
        "/ as %2F, : as %3A, # as %23, ? as %3F, % as %25.",
    )
    try:
        parts = conninfo_to_dict(url)
    except (psycopg.Error, ValueError):
        raise wrong from None
    address = {key: str(value) for key, value in parts.items() if value is not None}
    # After an unescaped @ or / in a password, the rest of it is parsed as a host, a port or a database.
    misparsed = "@" in address.get("host", "") + address.get("dbname", "")
    if (
        misparsed
        or not re.fullmatch(r"postgres(ql)?://[^\0]*", url)
        or not re.fullmatch(r"[\d,]*", address.get("port", ""))
    ):
        raise wrong
    return address


def parts_of(url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the public and the secret parts of an address, as libpq classifies them.

    Raises:
        ConfigurationError: the address is invalid.
    """
    check_address(url)
    public: dict[str, str] = {}
    secret: dict[str, str] = {}
    for each in pq.Conninfo.parse(url.encode()):
        if each.val is not None:
            kind = secret if each.dispchar == b"*" else public
            kind[each.keyword.decode()] = each.val.decode()
    return public, secret


def in_transaction(conn: psycopg.Connection, work: Callable[[], T], *, tries: int = 5) -> T:
    """Run `work` in a transaction, and retry it after a deadlock or a serialization failure.

    Within an outer transaction it runs once: only the owner of that transaction can retry it.
    """
    if conn.info.transaction_status != pq.TransactionStatus.IDLE:
        return work()
    for left in reversed(range(tries)):
        try:
            with conn.transaction():
                return work()
        except (errors.DeadlockDetected, errors.SerializationFailure):
            if not left:
                raise
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - so that the two do not meet again
    raise ValueError("tries must be at least 1")


def set_statement_timeout(conn: psycopg.Connection, seconds: float) -> None:
    """Set the time limit of each statement of this transaction."""
    timeout = f"{_milliseconds(seconds)}ms"
    conn.execute(load("driver/session").set_statement_timeout, {"timeout": timeout})
    if isinstance(conn, Connection):
        conn.link.patience = seconds + MARGIN


def read_one_snapshot(conn: psycopg.Connection) -> None:
    """Make the transaction that has just begun read-only, with the same snapshot for all of its statements."""
    conn.execute(load("driver/session").read_one_snapshot)


def probe(conn: psycopg.Connection) -> None:
    """Check that the server answers, and that the answer is the one to this question.

    Within a transaction it does nothing: its end finds that out, and one that has failed takes no statement.

    Raises:
        DatabaseUnavailable: no answer, or another one; the connection is closed.
    """
    if conn.info.transaction_status != pq.TransactionStatus.IDLE:
        return
    token = secrets.token_hex(8)
    if conn.execute(load("driver/session").echo, {"token": token}).fetchone() != (token,):
        conn.close()
        raise AnswerGarbled("the database gave the answer to another request.")


def is_usable(conn: psycopg.Connection) -> bool:
    """Whether the server answers and no transaction was left open by an interrupted call."""
    try:
        conn.execute("")
    except (DatabaseUnavailable, psycopg.Error):
        return False
    return bool(conn.info.transaction_status == pq.TransactionStatus.IDLE)


def fetch(
    conn: psycopg.Connection, statement: LiteralString, params: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run a statement and return its rows as dictionaries."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, params).fetchall()


def _option(setting: tuple[str, object]) -> str:
    text = "{}={}".format(*setting)
    return "-c " + re.sub(r"([\\\s])", r"\\\1", text)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0
