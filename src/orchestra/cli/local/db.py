"""`maestro db`: status, start, stop, dump and restore of the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.local import db_status
from orchestra.cli.local.connection import caller, database
from orchestra.cli.registry import Verb
from orchestra.domain import human
from orchestra.domain.errors import AlreadyExists, Cancelled, OrchestraError, Refused

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.config import Settings


def _require_embedded(settings: Settings) -> None:
    """Refuse a command that works only with the embedded database.

    Raises:
        Refused: the configuration names a PostgreSQL server.
        ConfigurationError: it names only a server of Orchestra.
    """
    from orchestra.wiring.database import check_database

    check_database(settings)
    if settings.postgres is not None:
        raise Refused(
            "the database is a PostgreSQL server, which only its administrator can start and stop.",
            hint=f"Its address comes from {settings.origin('postgres')}.",
        )


def _start(ctx: Context) -> None:
    _require_embedded(ctx.settings)
    with database(ctx):
        pass
    ctx.out.say("the embedded database is running")


def _stop_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--immediate", action="store_true", help="skip the clean shutdown; the next start recovers"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _stop(ctx: Context) -> None:
    from orchestra.store.postgres import embedded

    _require_embedded(ctx.settings)
    if ctx.args.immediate:
        stopped = embedded.stop(ctx.settings.data_dir, mode="immediate")
    else:
        if embedded.url_if_running(ctx.settings.data_dir):
            _ask_with_pilots(ctx)
        stopped = embedded.stop(ctx.settings.data_dir)
    ctx.out.say(
        "the embedded database is stopped" if stopped else "the embedded database was not running"
    )


def _ask_with_pilots(ctx: Context) -> None:
    """Ask while pilots are online: without a database their jobs run on, but nothing starts."""
    from orchestra.store.cluster import health
    from orchestra.store.schema import migrate
    from orchestra.wiring.database import connect

    with connect(ctx.settings) as conn:
        nodes = health.online_nodes(conn) if migrate.current(conn) else []
    question = (
        f"A pilot is online on {human.listed(nodes, most=3)}: running jobs continue, "
        "but nothing starts until the database is back. Stop it?"
    )
    if nodes and not ctx.out.ask(question, yes=ctx.args.yes):
        raise Cancelled


def _file_argument(parser: Parser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a new file" if "dump" in parser.prog else "a dump"
    )


def _dump_arguments(parser: Parser) -> None:
    _file_argument(parser)
    parser.add_argument(
        "--verify",
        action="store_true",
        help="restore the dump into a temporary database and compare",
    )


def _dump(ctx: Context) -> None:
    from orchestra.services.database import admin
    from orchestra.wiring.database import running_url

    path: Path = ctx.args.file
    if path.exists():
        raise AlreadyExists(f"{path} exists already.", hint="Name another file.")
    with database(ctx):
        url = running_url(ctx.settings)
    if ctx.args.verify:
        with ctx.out.progress("writing") as progress:
            size = admin.dump_and_check(url, path, lambda words: progress.set(0, words))
        ctx.out.say(f"{path}: {human.size(size)}, read back and identical")
        return
    with _watched(ctx, "writing", path):
        size = admin.dump(url, path)
    ctx.out.say(f"{path}: {human.size(size)}")


@contextmanager
def _watched(ctx: Context, label: str, path: Path) -> Iterator[None]:
    """Show on a terminal the size of the temporary file that will become `path`."""
    over = threading.Event()
    with ctx.out.progress(label) as progress:

        def watch() -> None:
            while not over.wait(0.2):
                sizes = [part.stat().st_size for part in path.parent.glob(f".{path.name}.*")]
                progress.set(0, f"{label} {human.size(sum(sizes))}")

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()


def _restore_arguments(parser: Parser) -> None:
    _file_argument(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _restore(ctx: Context) -> None:
    from orchestra.services.database import admin
    from orchestra.store.postgres import dump
    from orchestra.store.schema import migrate
    from orchestra.wiring.database import check_database, running_url
    from orchestra.wiring.sharing import renew_rights

    check_database(ctx.settings)
    path: Path = ctx.args.file
    dump.check_is_dump(path)
    with database(ctx, need_schema=False) as conn:
        kept = None
        if migrate.current(conn):
            question = "This replaces everything in the database. Continue?"
            if not ctx.out.ask(question, yes=ctx.args.yes):
                raise Cancelled
            kept = _back_up(ctx)
        url = running_url(ctx.settings)
        with ctx.out.progress("restoring"):
            change = admin.restore(conn, url, path)
        renew_rights(ctx.settings, conn)
    ctx.out.say(f"restored {path}, schema {change.after}")
    if kept:
        ctx.out.note(f"The previous contents are in {kept}")


def _back_up(ctx: Context) -> Path | None:
    """Dump what is about to be replaced, except on a server, which has backups of its own."""
    from orchestra import command_words
    from orchestra.services.database import admin
    from orchestra.wiring.database import backup_policy, running_url, uses_server

    if uses_server(ctx.settings):
        return None
    policy = backup_policy(ctx.settings)
    try:
        kept = policy.new_path("before-restore")
        admin.dump(running_url(ctx.settings), kept)
    except OrchestraError as error:
        ctx.out.note(
            f"warning: the present contents could not be dumped: {command_words.message_of(error)}"
        )
        return None
    if policy.kept:
        policy.prune("before-restore")
    return kept


def _accept_arguments(parser: Parser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _accept(ctx: Context) -> None:
    from orchestra.services.database import recovery
    from orchestra.services.tasks import standstill

    with database(ctx) as conn:
        state = standstill.state(conn)
        if state and state.nodes:
            question = (
                f"Continue without a report from {human.listed(state.nodes, most=5)}? "
                "Jobs that still run there may be started a second time."
            )
            if not ctx.out.ask(question, yes=ctx.args.yes):
                raise Cancelled
        accepted = recovery.accept(conn, caller(ctx, conn))
    if accepted is None:
        ctx.out.say("the database is not recovering; there is nothing to accept")
    else:
        ctx.out.say("the database is accepted; work continues")


VERBS = (
    Verb(
        "status",
        "show which database is used, and its state",
        db_status.show,
        example="maestro db status",
        output=True,
    ),
    Verb("start", "start the embedded database", _start, example="maestro db start"),
    Verb(
        "stop",
        "stop the embedded database; running jobs are not affected",
        _stop,
        _stop_arguments,
        example="maestro db stop",
    ),
    Verb(
        "dump",
        "write the whole database to a file",
        _dump,
        _dump_arguments,
        description="Write a consistent copy of the whole database to a new file, while work continues. --verify "
        "restores it at once into a temporary database and compares every row, because only a dump that can be "
        "restored is a backup.",
        example="maestro db dump monday.dump\nmaestro db dump --verify monday.dump",
    ),
    Verb(
        "restore",
        "replace the contents of the database with a dump",
        _restore,
        _restore_arguments,
        example="maestro db restore monday.dump",
    ),
    Verb(
        "accept",
        "continue with a restored database although some nodes have not reported",
        _accept,
        _accept_arguments,
        description="A database that was restored or copied starts nothing until every node that had jobs has "
        "reported what it runs. If such a node will not come back, use maestro node lost, or this.",
        example="maestro db accept",
    ),
)
