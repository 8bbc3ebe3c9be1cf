"""`maestro db status`: which database is used, and its state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.cli.output import Record
from orchestra.domain import human

if TYPE_CHECKING:
    from orchestra.cli.context import Context


@dataclass(frozen=True, slots=True)
class _Status:
    """What `db status` shows. `address` contains no password."""

    kind: str
    address: str
    running: bool
    pid: int | None = None
    schema: int | None = None
    version: str | None = None
    size: int | None = None
    connections: int | None = None
    epoch: int | None = None
    settling: str | None = None
    log: str | None = None
    shared: str | None = None


def show(ctx: Context) -> None:
    """Print the status of the database, without starting it."""
    from orchestra.wiring.database import check_database

    check_database(ctx.settings)
    status = _of_embedded(ctx) if ctx.settings.postgres is None else _of_server(ctx)
    ctx.out.item(status, _lines, record=_record, key=lambda status: _state(status))


def _of_embedded(ctx: Context) -> _Status:
    from orchestra.cli.local.sharing import in_words
    from orchestra.store.postgres import embedded
    from orchestra.wiring.sharing import shared

    status = embedded.status(ctx.settings.data_dir)
    share = shared(ctx.settings)
    return _Status(
        "embedded",
        str(status.data_dir),
        running=status.running,
        pid=status.pid if status.running else None,
        size=status.size or None,
        log=str(status.log),
        shared=in_words(share) if share else None,
        **(_facts(ctx) if status.running else {}),
    )


def _of_server(ctx: Context) -> _Status:
    from orchestra.wiring.database import server_address

    assert ctx.settings.postgres is not None
    address = server_address(ctx.settings.postgres)
    return _Status("server", address, running=True, **_facts(ctx))


def _facts(ctx: Context) -> Record:
    from orchestra.services.tasks import standstill
    from orchestra.store.cluster import health
    from orchestra.store.schema import migrate
    from orchestra.wiring.database import connect

    with connect(ctx.settings) as conn:
        schema = migrate.current(conn)
        state = standstill.state(conn) if schema else None
        return {
            "schema": schema,
            "version": health.server_version(conn),
            "connections": health.other_connections(conn),
            "epoch": standstill.epoch(conn) if schema else None,
            "settling": str(state) if state else None,
        }


def _state(status: _Status) -> str:
    return "running" if status.running else "stopped"


def _lines(status: _Status) -> Iterator[str]:
    version = f" {status.version}" if status.version else ""
    pid = f", process {status.pid}" if status.pid else ""
    yield f"{status.kind} PostgreSQL{version}, {_state(status)}{pid}"
    yield f"  {'folder' if status.kind == 'embedded' else 'server'}       {status.address}"
    if status.shared:
        yield f"  shared       {status.shared}"
    if status.size:
        yield f"  size         {human.size(status.size)}"
    if status.schema is not None:
        yield f"  schema       {status.schema or 'none yet: maestro user init'}"
    if status.connections is not None:
        yield f"  connections  {status.connections} besides this one"
    if status.settling:
        yield f"  recovering   {status.settling}"
        yield "               maestro db accept   continues without them"
    if status.log and (status.running or status.size):
        yield f"  log          {status.log}"
    if not status.running:
        yield "  It starts when a command needs it, or with: maestro db start"


def _record(status: _Status) -> Record:
    return {
        "kind": status.kind,
        "address": status.address,
        "running": status.running,
        "pid": status.pid,
        "schema": status.schema,
        "version": status.version,
        "bytes": status.size,
        "connections": status.connections,
        "epoch": status.epoch,
        "settling": status.settling,
        "log": status.log,
        "shared": status.shared,
    }
