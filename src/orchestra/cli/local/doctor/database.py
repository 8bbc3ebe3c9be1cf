"""The database: is it there, is it the right one, does its schema fit, is its clock ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.cli.local.doctor.configuration import short
from orchestra.cli.local.doctor.finding import (
    Finding,
    Trouble,
    of_trouble,
    ok,
    problem,
    trouble_of,
    warning,
)
from orchestra.domain import human
from orchestra.domain.errors import SchemaMismatch

if TYPE_CHECKING:
    import psycopg

    from orchestra.config import Settings
    from orchestra.domain.models.cluster import ServerFacts
    from orchestra.domain.models.mails import Summary
    from orchestra.domain.models.nodes import Node, Pilot
    from orchestra.domain.troubles import Stuck

APART = 2.0
"""Seconds that two clocks may differ without a word."""
SLOW = 0.1
"""Seconds: each command makes some ten round trips, each claim a few."""
_CROWDED = 0.9


@dataclass(frozen=True, slots=True)
class Schema:
    """Its number (0: none yet), the one that this program needs, and why they do not fit."""

    number: int
    needed: int
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What stands in a database whose schema fits."""

    cluster: str
    in_place: bool
    settling: str | None
    conductor: str | None
    nodes: tuple[Node, ...]
    pilots: tuple[Pilot, ...]
    outbox: Summary
    stuck: tuple[Stuck, ...] = ()
    """What the conductor cannot go on with, and why."""
    renamed: tuple[str, ...] = ()
    """Nodes that this machine serves, or did, under another name than its host name."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database; `server` is None where the embedded one is stopped, `contents` where the schema does not fit.

    `programs` are those that would start it.
    """

    embedded: bool
    address: str
    exists: bool
    server: ServerFacts | None = None
    schema: Schema | None = None
    contents: Contents | None = None
    programs: str = ""


def look(settings: Settings) -> Database:
    """Look at the database, without starting or changing it.

    Raises:
        OrchestraError: it cannot be reached; the sentence says why.
    """
    from orchestra.wiring.database import connect

    if settings.postgres is None:
        return _look_at_embedded(settings)
    from orchestra.store.driver.database import check_address

    parts = check_address(settings.postgres)
    place = parts.get("host") or parts.get("hostaddr") or "localhost"
    address = f"{place}:{parts.get('port', '5432')}/{parts.get('dbname', '')}"
    with connect(settings, name="maestro doctor") as conn:
        return _ask(conn, settings, address)


def _look_at_embedded(settings: Settings) -> Database:
    from orchestra.store.postgres import embedded, program_search, startup
    from orchestra.wiring.database import connect

    status = embedded.status(settings.data_dir)
    address = short(status.data_dir)
    if status.url is None:
        programs = program_search.find(status.major)
        startup.check_version(status.data_dir, status.major, programs)
        return Database(True, address, status.exists, programs=str(programs))
    with connect(settings, status.url, name="maestro doctor") as conn:
        return _ask(conn, settings, address)


def _ask(conn: psycopg.Connection, settings: Settings, address: str) -> Database:
    from orchestra.services.database import health

    facts = health.server(conn)
    schema = _schema(conn)
    fits = not schema.trouble and schema.number == schema.needed
    contents = _contents(conn, settings) if fits else None
    return Database(settings.postgres is None, address, True, facts, schema, contents)


def _schema(conn: psycopg.Connection) -> Schema:
    from orchestra.store.schema import migrate

    needed = len(migrate.known())
    try:
        number = migrate.current(conn)
        migrate.pending(conn)
    except SchemaMismatch as error:
        return Schema(-1, needed, trouble_of(error))
    return Schema(number, needed)


def _contents(conn: psycopg.Connection, settings: Settings) -> Contents:
    from orchestra.cli.local.pilots import other_names_here
    from orchestra.services.database import health
    from orchestra.services.mail import mails
    from orchestra.services.nodes import nodes
    from orchestra.services.tasks import standstill
    from orchestra.store.cluster import cluster, leader

    found, state = cluster.read(conn), standstill.state(conn)
    pilots = nodes.pilots(conn)
    return Contents(
        cluster=str(found.identity.cluster),
        in_place=found.in_place,
        settling=str(state) if state else None,
        conductor=health.conductor(conn),
        nodes=tuple(nodes.everything(conn)),
        pilots=tuple(pilots),
        outbox=mails.summary(conn),
        stuck=leader.troubles(conn).stuck,
        renamed=tuple(other_names_here(pilots, settings)),
    )


def judge(seen: Database | Trouble) -> Iterator[Finding]:
    """Say how the database, its schema and its clock are."""
    if isinstance(seen, Trouble):
        yield of_trouble("database", seen)
        return
    if seen.server is None:
        yield ok(
            "database",
            f"embedded {seen.programs} in {seen.address}, stopped; it starts when it is needed"
            if seen.exists
            else f"none yet; an embedded {seen.programs} will be made in {seen.address}",
        )
        return
    yield _reached(seen, seen.server)
    if seen.schema:
        yield _judge_schema(seen.schema, embedded=seen.embedded)
    yield _judge_clock(seen.server)
    if seen.contents:
        yield from _judge_identity(seen.contents)


def _reached(seen: Database, server: ServerFacts) -> Finding:
    where = f"embedded, in {seen.address}" if seen.embedded else f"at {seen.address}"
    says = (
        f"PostgreSQL {server.version} {where}, {human.duration(server.latency)} away, "
        f"{human.size(server.size)}"
    )
    used = f"{server.connections} of {server.max_connections} connections"
    if server.connections >= _CROWDED * server.max_connections:
        return warning(
            "database",
            f"{says}; {used} are in use.",
            "ALTER SYSTEM SET max_connections = N; then PostgreSQL is started again.",
        )
    if server.latency > SLOW:
        return warning(
            "database", f"{says}: that is slow, every command waits for it several times."
        )
    return ok("database", says)


def _judge_schema(schema: Schema, *, embedded: bool) -> Finding:
    if schema.trouble:
        return of_trouble("schema", schema.trouble)
    if schema.number == schema.needed:
        return ok("schema", f"{schema.number}, current")
    if not schema.number:
        says = "there are no tables of Orchestra in this database yet."
        return (
            ok("schema", "none yet, made by the next command")
            if embedded
            else problem("schema", says, "maestro user init")
        )
    says = f"{schema.number}, older than this program, which needs {schema.needed}"
    if embedded:
        return ok("schema", f"{says}; the next command upgrades it")
    return problem("schema", f"{says}.", "maestro user init")


def _judge_clock(server: ServerFacts) -> Finding:
    apart = abs(server.ahead)
    if apart <= APART:
        return ok(
            "clock",
            f"this machine's is the database's (within {human.duration(max(apart, 0.001))})",
        )
    order = "behind" if server.ahead > 0 else "ahead of"
    return warning(
        "clock",
        f"this machine's is {human.duration(apart)} {order} the database's: times in lists are off by that.",
        "timedatectl set-ntp true   on the machine whose clock is wrong",
    )


def _judge_identity(contents: Contents) -> Iterator[Finding]:
    if not contents.in_place:
        yield warning(
            "identity",
            "this database was restored, copied or promoted. Pilots notice, and nothing starts until they have said "
            "what they run.",
            "maestro pilot run -n NODE   on each node that has jobs; then look again",
        )
    if contents.settling:
        yield warning(
            "identity",
            f"the database is recovering: {contents.settling}.",
            "maestro db accept   goes on without the nodes that are gone for good",
        )
