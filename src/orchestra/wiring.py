"""The composition root: the only module that knows everyone.

Nothing is imported before it is used: each command brings in what it needs.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from orchestra.domain.errors import (
    ConfigurationError,
    DatabaseSilent,
    DatabaseUnavailable,
    MailRefused,
)
from orchestra.domain.naming import as_name, is_real_address
from orchestra.domain.wording import Action, Setting, words
from orchestra.homefolder import home_folder

if TYPE_CHECKING:
    import threading

    import psycopg

    from orchestra.conductor.notify import Post
    from orchestra.config import Settings
    from orchestra.domain.binds import Bind
    from orchestra.domain.caller import Caller
    from orchestra.domain.models.users import User
    from orchestra.domain.state_inventory import StateInventory
    from orchestra.domain.troubles import Trouble
    from orchestra.interface.local import Local
    from orchestra.mail.ways import Way
    from orchestra.runtimes.cache import ImageCache
    from orchestra.runtimes.found import ContainerRuntime
    from orchestra.services.admin import SchemaChange
    from orchestra.services.upgrade import Shelf

Say = Callable[[str], None]


def _say_nothing(_line: str) -> None:
    """For who wants no announcements."""


def uses_server(settings: Settings) -> bool:
    """Whether the configuration names a PostgreSQL server; else the embedded database is used."""
    return settings.postgres is not None


def use_programs(settings: Settings) -> None:
    """Have this process use the programs of PostgreSQL that the configuration names, or look for them anew."""
    if settings.postgres_bin is not None or "orchestra.store.pgsearch" in sys.modules:
        from orchestra.store import pgsearch

        pgsearch.use(settings.postgres_bin)


def database_url(settings: Settings, *, say: Say = _say_nothing) -> str:
    """Give the database's address; the embedded one is made and started where needed. It holds the password.

    Raises:
        ConfigurationError, DatabaseUnavailable, Refused, VolumeError: there is none.
    """
    if settings.server is not None:
        raise ConfigurationError(
            f'"server" is set in {settings.origin("server")}, and this version cannot use a maestro server.',
            hint='Set "postgres" instead, or neither.',
        )
    if settings.postgres is not None:
        return settings.postgres
    from orchestra.store import embedded

    return embedded.ensure_running(settings.data_dir, say)


def running_url(settings: Settings) -> str:
    """Give the database's address without starting one.

    Raises:
        DatabaseUnavailable: the embedded database does not run.
    """
    if settings.postgres is not None:
        return settings.postgres
    from orchestra.store import embedded

    url = embedded.url_if_running(settings.data_dir)
    if url is None:
        raise DatabaseUnavailable(
            "the embedded database does not run.", hint=words(Action.START_DATABASE)
        )
    return url


def public_address(url: str) -> dict[str, str]:
    """Give the parts of a database's address that anybody may see; none where nothing in it is secret.

    Raises:
        ConfigurationError: it is no address.
    """
    from orchestra.store.database import parts_of

    public, secret = parts_of(url)
    return public if secret else {}


def open_database(
    settings: Settings, *, need_schema: bool = True, say: Say = _say_nothing
) -> psycopg.Connection:
    """Give an autocommit connection to a database that this program can work with.

    The embedded one is started where needed, and its schema made or upgraded; a server's schema is its owner's
    business (`maestro user init`) and only checked. `need_schema=False` leaves the schema alone in both.

    Raises:
        ConfigurationError, DatabaseUnavailable: it cannot be reached; the sentence says why.
        SchemaMismatch: its schema and this program do not fit.
    """
    from orchestra.store import migrate

    use_programs(settings)
    conn = _connect_if_ready(settings) or connect(settings, database_url(settings, say=say))
    try:
        if need_schema and not migrate.is_current(conn):
            if uses_server(settings):
                migrate.check(conn)
            else:
                upgrade(conn, settings, say=say)
    except BaseException:
        conn.close()
        raise
    return conn


def _connect_if_ready(settings: Settings) -> psycopg.Connection | None:
    """Connect to an embedded database that runs, without asking first whether it does."""
    if uses_server(settings) or settings.server is not None:
        return None
    from orchestra.store import database, embedded

    url = embedded.url_if_ready(settings.data_dir)
    try:
        return database.connect(url) if url else None
    except DatabaseSilent:
        raise  # it is there: nobody else's start would help
    except DatabaseUnavailable:
        return None  # it was killed, or is starting: the long way knows


def connect(
    settings: Settings, url: str | None = None, *, name: str = "maestro", repeats: bool = False
) -> psycopg.Connection:
    """Connect, without looking at the schema and without starting a database; `repeats` as in `store/database.py`.

    Raises:
        ConfigurationError, DatabaseUnavailable: it cannot be reached; the hint names what to look at.
    """
    from orchestra.store import database

    try:
        return database.connect(url or running_url(settings), name=name, repeats=repeats)
    except (ConfigurationError, DatabaseUnavailable) as error:
        if settings.postgres is not None:
            place = _postgres_place(settings)
            error.reword(lambda term: place if term is Setting.POSTGRES else term)
        raise


def reconnect(settings: Settings, *, name: str, repeats: bool = False) -> psycopg.Connection:
    """Connect for somebody who lives on: an embedded database that was killed is started again, a stopped one is not.

    Raises:
        DatabaseUnavailable: it is away.
    """
    url = settings.postgres or _revived_url(settings)
    return connect(settings, url, name=name, repeats=repeats)


def _revived_url(settings: Settings) -> str:
    from orchestra.store import embedded, postmaster

    if url := embedded.url_if_running(settings.data_dir):
        return url
    use_programs(settings)
    place = postmaster.Place(embedded.status(settings.data_dir).data_dir)
    with postmaster.one_at_a_time(place):
        # PostgreSQL removes this file when it stops in good order.
        was_killed = (place.cluster / "postmaster.pid").exists()
    if not was_killed:
        raise DatabaseUnavailable(
            "the embedded database was stopped.", hint=words(Action.START_DATABASE)
        )
    return embedded.ensure_running(settings.data_dir)


def _postgres_place(settings: Settings) -> str:
    origin = settings.origin("postgres")
    return origin if origin.startswith("MAESTRO_") else f'"postgres" in {origin}'


def upgrade(
    conn: psycopg.Connection, settings: Settings, *, say: Say = _say_nothing
) -> SchemaChange:
    """Make or upgrade the schema, of the embedded database or of a server; a dump is kept before an upgrade.

    Raises:
        SchemaMismatch: it is newer than this program, or not ours.
        DatabaseUnavailable: this user may not make a schema here.
        VolumeError: there is no room for the dump.
    """
    from orchestra.services import upgrade

    return upgrade.to_newest(conn, running_url(settings), dump_shelf(settings), say)


def dump_shelf(settings: Settings) -> Shelf:
    """Give where dumps are kept that nobody asked for: beside the embedded database, or where it would be."""
    from orchestra.services.upgrade import Shelf
    from orchestra.store import datafolder

    data = settings.data_dir or datafolder.default_folder()[0]
    return Shelf(data.absolute() / "backups", settings.dumps_kept, settings.dump_limit)


def versions() -> str:
    """Give the versions of the program, of the schema that it needs, and of what it speaks with keepers."""
    from orchestra import __version__
    from orchestra.pilot import keeper
    from orchestra.store import migrations

    return (
        f"maestro {__version__} (schema {migrations.newest()}, keeper protocol {keeper.PROTOCOL})"
    )


def login_name() -> str:
    """Give the name of the account that runs this: $USER, else what the system knows, else its number."""
    if name := os.environ.get("USER"):
        return name
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account of a container
        return f"uid{os.geteuid()}"


def user_name(settings: Settings) -> str:
    """Give the current user's name in Orchestra; what a login name has that ours may not becomes "_"."""
    if settings.username:
        return settings.username
    return as_name(login_name()) or "_"


def current_user(conn: psycopg.Connection, settings: Settings, *, say: Say = _say_nothing) -> User:
    """Give the current user, made on first need.

    Raises:
        BadInput: the configured name or address is none.
    """
    from orchestra.services import users

    name = user_name(settings)
    user, is_new = users.ensure(conn, name, settings.email or f"{name}@{host_name()}")
    if is_new:
        say(f"made user {user.name} ({user.email})")
    return _as_configured(conn, settings, user)


def interface(settings: Settings, *, say: Say = _say_nothing) -> Local:
    """Return what carries out the current user's requests; the embedded database is started where needed.

    Raises:
        ConfigurationError, DatabaseUnavailable, SchemaMismatch: as `open_database`.
    """
    from orchestra.interface.local import Local

    return Local(
        open_database(settings, say=say),
        user_name(settings),
        lambda conn: current_caller(conn, settings, say),
    )


def interface_again(settings: Settings, *, name: str) -> Local:
    """Return the same for somebody who lives on while the database comes and goes, as `reconnect` connects.

    Raises:
        DatabaseUnavailable: it is away.
    """
    from orchestra.interface.local import Local

    conn = reconnect(settings, name=name)
    return Local(
        conn, user_name(settings), lambda conn: current_caller(conn, settings, _say_nothing)
    )


def quick_interface(settings: Settings, *, patience: float) -> Local:
    """Return what carries out a question of somebody who cannot wait: nothing is started, no schema is looked at.

    Connecting takes at most `patience` seconds, and so does an answer.

    Raises:
        ConfigurationError, DatabaseUnavailable: the database cannot be reached at once.
    """
    from orchestra.interface.local import Local
    from orchestra.store import database

    conn = database.connect(
        running_url(settings),
        name="maestro completion",
        connect_timeout=patience,
        statement_timeout=patience,
    )
    return Local(
        conn, user_name(settings), lambda conn: current_caller(conn, settings, _say_nothing)
    )


def current_caller(conn: psycopg.Connection, settings: Settings, say: Say) -> Caller:
    """Return the current user, made on first need, with all the rights that they have."""
    from orchestra.domain.caller import Caller

    return Caller.of(current_user(conn, settings, say=say))


def _as_configured(conn: psycopg.Connection, settings: Settings, user: User) -> User:
    """Give the user with what their configuration says of mail; an address that was made up gives way to a real one."""
    from orchestra.domain.caller import Caller
    from orchestra.services import users

    email, mail = None, None
    if settings.email and settings.email != user.email and not is_real_address(user.email):
        email = settings.email
    if settings.mail and (settings.mail == "on") is not user.mail:
        mail = settings.mail == "on"
    if email is None and mail is None:
        return user
    return users.change(conn, Caller.of(user), user.name, email=email, mail=mail)


# Mail

GMAIL = "smtp.gmail.com"
MAIL_FOLDER = "mail"


def mail_folder(settings: Settings) -> Path:
    """Give the folder in which mails are written where no mail server is configured; it may not exist yet.

    Beside the embedded database; where a server is used, there is none, and it stands with what pilots keep.
    """
    from orchestra.store import datafolder

    if settings.data_dir is None and uses_server(settings):
        return pilots_folder(settings).absolute() / MAIL_FOLDER
    return (settings.data_dir or datafolder.default_folder()[0]).absolute() / MAIL_FOLDER


def mail_way(settings: Settings) -> Way:
    """Give the way by which this process would send mail: a server, or a folder of files.

    Its `where` names it, its `check()` tries it without sending anything: what `doctor` needs.

    Raises:
        ConfigurationError: half of what it takes is configured.
    """
    if settings.smtp_host is None and not settings.password:
        from orchestra.mail.folder import Folder

        return Folder(mail_folder(settings))
    from orchestra.mail.smtp import PORTS, Smtp

    user = settings.smtp_user or settings.email
    if settings.password and not user:
        raise ConfigurationError(
            f'"password" is set in {settings.origin("password")}, and neither "email" nor "smtp_user" says whose.'
        )
    return Smtp(
        host=settings.smtp_host or GMAIL,
        port=settings.smtp_port or PORTS[settings.smtp_tls],
        tls=settings.smtp_tls,
        user=user,
        password=settings.password,
    )


def mail_post(settings: Settings) -> Post:
    """Give all that the conductor needs to send mail.

    Raises:
        ConfigurationError: half of what it takes is configured.
    """
    from orchestra.conductor.notify import Post
    from orchestra.mail.channels import Channels

    login = settings.smtp_user if settings.smtp_user and "@" in settings.smtp_user else None
    return Post(
        way=mail_way(settings),
        sender=settings.from_email or settings.email or login or f"orchestra@{host_name()}",
        copy_to=settings.to_email,
        channels=Channels(settings.notify_urls) if settings.notify_urls else None,
    )


def send_test_mail(post: Post, address: str, user: str, *, say: Say) -> None:
    """Send a mail that says that mail works, and tell the channels; says in sentences what came of it.

    Raises:
        MailDelayed, MailRefused: it was not sent, or not to all; the sentence says why, the hint what to do.
    """
    from datetime import UTC, datetime
    from uuid import uuid4

    from orchestra.domain.human import listed
    from orchestra.mail import message, page

    works = page.Page(
        "mail works", (page.Paragraph(f"This is a test from {host_name()}: mail arrives."),)
    )
    envelope = message.Envelope(
        sender=post.sender,
        to=address,
        user=user,
        message_id=f"<{uuid4()}@orchestra-hpc>",
        date=datetime.now(UTC),
        copy_to=post.copy_to,
    )
    sent = post.way.send(message.build([works], envelope))
    if sent.missed:
        raise MailRefused(
            f"a mail from {post.sender} to {address} was taken by {sent}",
            hint='Check "to_email" in the configuration.',
        )
    if sent.is_file:
        say(f"no mail server is configured, so the mail to {address} is a file: {sent}")
    else:
        readers = listed(list(dict.fromkeys([address, *post.copy_to])))
        say(f"{sent} has taken a mail from {post.sender} to {readers}")
    if post.channels:
        post.channels.post("[Orchestra] mail works", page.as_text([works]))
        say(f"told as well: {post.channels.where}")


def host_name() -> str:
    """Give this host's name without its domain, as nodes and made-up addresses can have it."""
    return as_name(socket.gethostname().partition(".")[0]) or "localhost"


def node_name(settings: Settings) -> str:
    """Give the name of this machine as a node."""
    return settings.node or host_name()


# Pilots


@dataclass(frozen=True, slots=True)
class PilotWish:
    """A pilot as somebody asked for it. `config` is the file that was named on the command line."""

    node: str
    prefers_to_conduct: bool = False
    serve_all: bool = False
    draining: bool = False
    heir: bool = False
    config: str | None = None
    allow_root: bool = False

    def command(self) -> tuple[str, ...]:
        """Give the argument list that runs it in the background."""
        return (*self.plain_command(), "--background")

    def plain_command(self) -> tuple[str, ...]:
        """Give the argument list that runs it in the foreground, from any folder."""
        # -P: a file called json.py in the current folder is not meant.
        words = [sys.executable, "-P", "-m", "orchestra.cli.main", "pilot", "run", "-n", self.node]
        words += ["-m"] * self.prefers_to_conduct + ["--serve-all"] * self.serve_all
        words += ["--allow-root"] * self.allow_root
        if self.config:
            words += ["--config", os.path.abspath(self.config)]  # noqa: PTH100 - a link stays one
        return tuple(words)


def check_root(settings: Settings, conn: psycopg.Connection, *, allowed: bool) -> None:
    """Refuse a pilot of root where somebody else may create tasks, unless that is `allowed`, here or by the settings.

    Raises:
        Refused: it would run everybody's jobs as root.
    """
    from orchestra.domain.errors import Refused
    from orchestra.services import admin

    if os.geteuid() != 0 or allowed or settings.allow_root:
        return
    if not uses_server(settings) and admin.is_private(conn):
        return
    raise Refused(
        "this is root, and a pilot of root runs everybody's jobs as root: whoever may create tasks in this database "
        "could do anything on this machine.",
        hint="Start it as an ordinary account, which runs its own tasks.\n"
        'Or, where everybody who may create tasks may be root here: --allow-root ("allow_root": true in the '
        "configuration, MAESTRO_ALLOW_ROOT=1)",
    )


def run_pilot(
    settings: Settings, cluster: str, wish: PilotWish, *, foreground: bool, supervised: bool = False
) -> int:
    """Serve a node until told to leave; gives the exit status. Its conductor runs in a thread beside it.

    Raises:
        OrchestraError: it could not begin.
    """
    from orchestra.pilot import agent
    from orchestra.runtimes import podman_pause

    # The embedded database is away with its own machine alone, so no other node waits for its jobs.
    keep = settings.on_lease_lost == "keep" or not uses_server(settings)
    lost: Literal["kill", "keep"] = "keep" if keep else "kill"
    folder = pilot_folder(settings, cluster, wish.node)
    options = agent.PilotOptions(
        node=wish.node,
        user=user_name(settings),
        cluster=cluster,
        connect=lambda: reconnect(settings, name=f"maestro pilot {wish.node}", repeats=True),
        may_conduct=wish.prefers_to_conduct,
        serve_all=wish.serve_all,
        lease=settings.lease,
        log_limit=settings.log_limit,
        on_lease_lost=lost,
        draining=wish.draining,
        heir=wish.heir,
        foreground=foreground,
        supervised=supervised,
        relaunch=wish.command(),
        conductor=None if wish.draining else lambda stop, say: _conduct(settings, wish, stop, say),
        state_folder=folder,
        runtimes=container_runtimes(settings),
        binds=container_binds(settings),
        image_cache=settings.image_cache,
        image_cache_size=settings.image_cache_size,
        image_silence=settings.image_fetch_timeout,
    )
    try:
        return agent.run(options)
    finally:
        podman_pause.clean_up(os.environ)


def container_runtimes(
    settings: Settings, *, traceless: bool = False
) -> tuple[ContainerRuntime, ...]:
    """Give the container runtimes of this machine, best first; `traceless` leaves nothing behind of the look.

    Raises:
        ConfigurationError: the one that is configured cannot be used.
    """
    from orchestra.runtimes import found

    origin = settings.origin("container_runtime")
    return found.find(settings.container_runtime, os.environ, origin=origin, traceless=traceless)


def image_cache(settings: Settings) -> ImageCache:
    """Give the images of somebody who runs a job by hand: where the nodes keep theirs, if that is configured."""
    from orchestra.runtimes.cache import ImageCache
    from orchestra.runtimes.environment import inherited

    home = home_folder() or Path(f"/var/tmp/orchestra-{os.geteuid()}")  # noqa: S108 - made private, or refused
    usual = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "orchestra/images"
    folder = settings.image_cache or usual
    return ImageCache(
        folder,
        inherited(os.environ),
        limit=settings.image_cache_size,
        silence=settings.image_fetch_timeout,
    )


def container_binds(settings: Settings) -> tuple[Bind, ...]:
    """Give what every container of this node sees of it.

    Raises:
        ConfigurationError: one of them is none.
    """
    from orchestra.domain.binds import parse_bind
    from orchestra.domain.errors import BadInput

    try:
        return tuple(parse_bind(text, field=None) for text in settings.container_binds)
    except BadInput as error:
        origin = settings.origin("container_binds")
        raise ConfigurationError(
            words(f'"container_binds" in {origin}: ', error.message), hint=error.remedy
        ) from None


def _conduct(
    settings: Settings,
    wish: PilotWish,
    stop: threading.Event,
    say: Callable[[Trouble | None], None],
) -> None:
    conduct(settings, stop, name=wish.node, preferred=wish.prefers_to_conduct, say=say)


def conduct(
    settings: Settings,
    stop: threading.Event,
    *,
    name: str,
    preferred: bool = False,
    out: TextIO | None = None,
    say: Callable[[Trouble | None], None] = lambda _: None,
) -> None:
    """Be the conductor, or wait to be, until `stop` is set; what it has to say goes to `out`."""
    from orchestra.conductor import run
    from orchestra.domain.retention import Keep

    def join() -> psycopg.Connection:
        return reconnect(settings, name=f"maestro {name}" if out else f"maestro conductor {name}")

    if out is not None:
        logging.basicConfig(stream=out, format="%(asctime)s %(message)s", level=logging.INFO)
    try:
        post = mail_post(settings)
    except ConfigurationError as error:  # tasks go on all the same
        logging.getLogger(__name__).warning("no mail is sent: %s", error)
        post = None
    if post and out is not None:
        logging.getLogger(__name__).info("mail goes out by %s", post.way.where)
    run.run(
        join,
        stop,
        name=name,
        preferred=preferred,
        post=post,
        keep=Keep(settings.keep_events, settings.keep_logs, settings.keep_metrics),
        say=say,
    )


def pilot_folder(settings: Settings, cluster: str, node: str) -> Path:
    """Give the folder where the pilot of a node keeps its log and what its keepers need."""
    from orchestra.pilot import home

    usual = home.pilot_folder(cluster, node)
    if settings.state_dir is None:
        return usual
    return settings.state_dir / usual.parent.name / usual.name


def state_inventories(settings: Settings) -> list[StateInventory]:
    """Give what pilots of this account have left on this machine, those of other databases as well."""
    from orchestra.pilot.state_inventory import state_inventories as read

    return read(pilots_folder(settings))


def pilots_folder(settings: Settings) -> Path:
    """Give the folder in which every pilot of this account has one of its own; it may not exist yet."""
    return pilot_folder(settings, "cluster", "node").parent.parent


def spawn_pilot(settings: Settings, cluster: str, wish: PilotWish) -> int:
    """Start a pilot that outlives this process; gives its pid.

    Raises:
        VolumeError: its folder cannot be made.
    """
    from orchestra.pilot import agent

    command = wish.command() + ((agent.DRAINING,) if wish.draining else ())
    return agent.spawn_detached(command, pilot_folder(settings, cluster, wish.node))
