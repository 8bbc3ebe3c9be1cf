"""The database: whether it can be reached, is the right one, and has this program's schema and this machine's time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.cli.local.doctor.configuration import short
from orchestra.cli.local.doctor.finding import (
    Failure,
    Finding,
    failed,
    failure_of,
    ok,
    problem,
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
    from orchestra.domain.models.pools import Pool
    from orchestra.domain.troubles import Stuck

APART = 2.0
"""Seconds that two clocks may differ without a warning."""
SLOW = 0.1
"""Seconds. A command makes about ten round trips, a claim a few."""
_CROWDED = 0.9


@dataclass(frozen=True, slots=True)
class Schema:
    """The number of the schema (0: none yet), the one that this program needs, and why they do not match."""

    number: int
    needed: int
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """The relevant contents of a database whose schema matches."""

    cluster: str
    in_place: bool
    settling: str | None
    conductor: str | None
    nodes: tuple[Node, ...]
    pilots: tuple[Pilot, ...]
    outbox: Summary
    stuck: tuple[Stuck, ...] = ()
    """What the conductor cannot continue with, and why."""
    renamed: tuple[str, ...] = ()
    """Nodes that this machine serves, or served, under a name other than its host name."""
    pools: tuple[Pool, ...] = ()
    """Those that this account runs, or may run."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database; `server` is None if the embedded one is stopped, `contents` is None if the schema does not match.

    `programs` are those that would start it. `user` is who you are for the server of Orchestra that commands go to;
    nothing else is known of the database behind it.
    """

    embedded: bool
    address: str
    exists: bool
    server: ServerFacts | None = None
    schema: Schema | None = None
    contents: Contents | None = None
    programs: str = ""
    user: str | None = None


def inspect(settings: Settings) -> Database:
    """Inspect the database, without starting or changing it.

    Raises:
        OrchestraError: it cannot be reached; the sentence says why.
    """
    from orchestra.wiring.database import connect, server_address

    if settings.server is not None:
        from orchestra.wiring.interface import my_name

        return Database(False, settings.server, True, user=my_name(settings))
    if settings.postgres is None:
        return _inspect_embedded(settings)
    address = server_address(settings.postgres)
    with connect(settings, name="maestro doctor") as conn:
        return _ask(conn, settings, address)


def _inspect_embedded(settings: Settings) -> Database:
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
    from orchestra.store.cluster import health

    facts = health.server(conn)
    schema = _schema(conn)
    matches = not schema.failure and schema.number == schema.needed
    contents = _contents(conn, settings) if matches else None
    return Database(settings.postgres is None, address, True, facts, schema, contents)


def _schema(conn: psycopg.Connection) -> Schema:
    from orchestra.store.schema import migrate

    needed = len(migrate.known())
    try:
        number = migrate.current(conn)
        migrate.pending(conn)
    except SchemaMismatch as error:
        return Schema(-1, needed, failure_of(error))
    return Schema(number, needed)


def _contents(conn: psycopg.Connection, settings: Settings) -> Contents:
    from orchestra.cli.local.pilots import other_names_here
    from orchestra.services.mail import mails
    from orchestra.services.nodes import nodes
    from orchestra.services.tasks import standstill
    from orchestra.store.cluster import cluster, health, leader
    from orchestra.wiring.pools import of_account

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
        pools=tuple(of_account(settings)(conn)),
    )


def assess(seen: Database | Failure) -> Iterator[Finding]:
    """Report on the database, its schema and its clock."""
    if isinstance(seen, Failure):
        yield failed("database", seen)
        return
    if seen.user:
        yield ok(
            "server",
            f"{seen.address} answers and knows you as {seen.user}; the database is checked on its machine",
        )
        return
    if seen.server is None:
        yield ok(
            "database",
            f"embedded {seen.programs} in {seen.address}, stopped; it starts when it is needed"
            if seen.exists
            else f"none yet; an embedded {seen.programs} will be created in {seen.address}",
        )
        return
    yield _reached(seen, seen.server)
    if seen.schema:
        yield _assess_schema(seen.schema, embedded=seen.embedded)
    yield _assess_clock(seen.server)
    if seen.contents:
        yield from _assess_identity(seen.contents)


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
            "ALTER SYSTEM SET max_connections = N; then restart PostgreSQL.",
        )
    if server.latency > SLOW:
        return warning(
            "database", f"{says}: this is slow, and every command waits for it several times."
        )
    return ok("database", says)


def _assess_schema(schema: Schema, *, embedded: bool) -> Finding:
    if schema.failure:
        return failed("schema", schema.failure)
    if schema.number == schema.needed:
        return ok("schema", f"{schema.number}, current")
    if not schema.number:
        says = "this database does not have Orchestra's tables yet."
        return (
            ok("schema", "none yet; the next command creates it")
            if embedded
            else problem("schema", says, "maestro user init")
        )
    says = f"{schema.number}, older than this program, which needs {schema.needed}"
    if embedded:
        return ok("schema", f"{says}; the next command upgrades it")
    return problem("schema", f"{says}.", "maestro user init")


def _assess_clock(server: ServerFacts) -> Finding:
    apart = abs(server.ahead)
    if apart <= APART:
        return ok(
            "clock",
            f"within {human.duration(max(apart, 0.001))} of the database's",
        )
    order = "behind" if server.ahead > 0 else "ahead of"
    return warning(
        "clock",
        f"this machine's is {human.duration(apart)} {order} the database's, and so are times in lists.",
        "timedatectl set-ntp true   on the machine whose clock is wrong",
    )


def _assess_identity(contents: Contents) -> Iterator[Finding]:
    if not contents.in_place:
        yield warning(
            "identity",
            "this database was restored, copied or promoted. Nothing starts until the pilots have noticed and reported "
            "what they run.",
            "maestro pilot run -n NODE   on each node that has jobs; then maestro doctor again",
        )
    if contents.settling:
        yield warning(
            "identity",
            f"the database is recovering: {contents.settling}.",
            "maestro db accept   continues without nodes that will not come back",
        )
