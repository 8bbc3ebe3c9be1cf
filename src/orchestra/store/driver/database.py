"""Connections to PostgreSQL: made with care, and speaking in our own errors when they fail."""

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
from orchestra.store.driver.sql import load

SCHEMA = "orchestra"
OLDEST = 15
"""The oldest major version of PostgreSQL that is supported, and tested."""
STATEMENT_TIMEOUT = 5.0
LOCK_TIMEOUT = 3.0
IDLE_IN_TRANSACTION_TIMEOUT = 10.0
CONNECT_TIMEOUT = 5.0
MARGIN = 3.0
"""Seconds that an answer may be on its way, beyond the time that the server gives a statement."""

# What the work relies on, whatever the server, the database or the role has set; the last three are about plans.
_RELIED_ON = {
    "search_path": SCHEMA,
    "timezone": "UTC",
    "datestyle": "ISO",  # and the next: what psycopg can read
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "extra_float_digits": "1",  # moments and results to their last digit
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",  # an outcome leaves its spool once it is committed
    "idle_session_timeout": "0",  # a pilot without work is silent
    "jit": "off",  # it takes seconds for a statement of milliseconds where plans look dear, and ours do
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
"""What every connection says to the operating system: a machine that is gone is noticed within about 20 s."""

# A plan that is made while tables are small must do when they are large, too. So each row is looked up by its key:
# other joins walk a whole table, which is cheap only as long as it is small.
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
    """Connect, in autocommit mode: what belongs together stands in `with conn.transaction()`.

    Times are in seconds; 0 is no limit. `name` is shown in pg_stat_activity. A server that does not answer is given up
    MARGIN seconds after a statement's time is over. With `repeats` each statement is planned once, for all values: for
    who carries out the same few over and over.

    Raises:
        ConfigurationError: the address is not one.
        DatabaseUnavailable: nothing answers there, it refuses, or is too old; the sentence says which.
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
        "connect_timeout": max(2, round(connect_timeout)),  # libpq takes no less
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

        raise refusals.explain(address, str(error), ask) from None  # its text may hold the password
    try:
        check_version(address, conn.info.server_version)
    except DatabaseUnavailable:
        conn.close()
        raise
    if not _reads_right(conn):  # PGTZ and PGDATESTYLE win over `options`
        conn.execute(load("driver/session").set_formats)
    conn.add_notice_handler(conn.line.note)
    conn.line.place = place(address)
    conn.line.patience = statement_timeout + MARGIN if statement_timeout else None
    return conn


def _reads_right(conn: psycopg.Connection) -> bool:
    style = conn.info.parameter_status("DateStyle") or ""
    return style.startswith("ISO") and conn.info.parameter_status("TimeZone") == "UTC"


def check_version(address: dict[str, str], number: int) -> None:
    """Make sure that a server, whose version is written like 150018, is not too old.

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
    """Give the parts of a postgres:// or postgresql:// address, named as libpq names them.

    Raises:
        ConfigurationError: it is not one. The sentence shows nothing of it, since it may hold a password.
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
    # An unescaped @ or / in a password makes the rest of it a host, a port or a database.
    astray = "@" in address.get("host", "") + address.get("dbname", "")
    if (
        astray
        or not re.fullmatch(r"postgres(ql)?://[^\0]*", url)
        or not re.fullmatch(r"[\d,]*", address.get("port", ""))
    ):
        raise wrong
    return address


def parts_of(url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Give the parts of an address that anybody may see, and those that are secret, by libpq's own list.

    Raises:
        ConfigurationError: it is no address.
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
    """Run `work` in a transaction, again when PostgreSQL chose it as a deadlock's or a serialization's victim.

    Within an outer transaction it runs once: only whoever began that one can begin again.
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


def take_time(conn: psycopg.Connection, seconds: float) -> None:
    """Give the statements of this transaction so many seconds, each."""
    timeout = f"{_milliseconds(seconds)}ms"
    conn.execute(load("driver/session").set_statement_timeout, {"timeout": timeout})
    if isinstance(conn, Connection):
        conn.line.patience = seconds + MARGIN


def read_one_snapshot(conn: psycopg.Connection) -> None:
    """Make the transaction that has just begun read only, and all of its statements read the same snapshot."""
    conn.execute(load("driver/session").read_one_snapshot)


def probe(conn: psycopg.Connection) -> None:
    """Make sure that the server answers, and that its answer is the one to this question.

    Raises:
        DatabaseUnavailable: it does not, or it is not; the connection is closed.
    """
    token = secrets.token_hex(8)
    if conn.execute(load("driver/session").echo, {"token": token}).fetchone() != (token,):
        conn.close()
        raise AnswerGarbled("the database gave the answer to another question.")


def is_usable(conn: psycopg.Connection) -> bool:
    """Whether the server answers, and an interrupted call has left nothing open."""
    try:
        conn.execute("")
    except (DatabaseUnavailable, psycopg.Error):
        return False
    return bool(conn.info.transaction_status == pq.TransactionStatus.IDLE)


def fetch(
    conn: psycopg.Connection, statement: LiteralString, params: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run a statement and give its rows, each by the names of its columns."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, params).fetchall()


def _option(setting: tuple[str, object]) -> str:
    text = "{}={}".format(*setting)
    return "-c " + re.sub(r"([\\\s])", r"\\\1", text)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0


def place(address: Mapping[str, str]) -> str:
    """Name a server by its address, for a sentence."""
    hosts = address.get("host", address.get("hostaddr", "")).split(",")
    ports = address.get("port", "5432").split(",")
    ports += ports[:1] * (len(hosts) - len(ports))
    places = [
        f"the database in {host}"
        if host.startswith("/")
        else f"the database at {host or 'localhost'}:{port}"
        for host, port in zip(hosts, ports, strict=False)
    ]
    return " or ".join(places)
