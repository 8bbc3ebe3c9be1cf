"""`maestro pilot install`: start a pilot at each boot, and restart it when it ends."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import allow_root_argument
from orchestra.cli.local.connection import database
from orchestra.cli.local.service_unit import Service, Unit, cron_line, unit
from orchestra.domain.errors import BadInput, Cancelled, Refused, VolumeError
from orchestra.homefolder import home_folder, make_own, why_none

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.config import Settings

SYSTEM_UNITS = Path("/etc/systemd/system")
BOOTED = Path("/run/systemd/system")
"""Exists where systemd is the first process, sd_booted(3)."""

DESCRIPTION = (
    "Start a node's pilot at each boot, and restart it when it ends: writes a systemd unit whose jobs keep running "
    "when it is stopped, restarted or upgraded. Without systemd, prints a line for crontab."
)
EXAMPLE = (
    "maestro pilot install\nmaestro pilot install -n caloba21 --system\n"
    "maestro pilot install --print > my.service\nmaestro pilot install --cron"
)


def arguments(parser: Parser) -> None:
    parser.add_argument("-n", "--node", metavar="NODE", help="the node (default: this machine's)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--system", action="store_true", help="for the whole machine (default for root)"
    )
    where.add_argument(
        "--user", action="store_true", help="for your own service manager (default for others)"
    )
    where.add_argument(
        "--cron", action="store_true", help="print a line for crontab, even with systemd"
    )
    parser.add_argument(
        "--print", dest="only_print", action="store_true", help="print the unit, write nothing"
    )
    parser.add_argument(
        "-m", "--master", action="store_true", help="prefer this pilot as the conductor"
    )
    parser.add_argument(
        "--serve-all",
        action="store_true",
        help="run everybody's jobs, all of them under your account; otherwise only yours",
    )
    allow_root_argument(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="replace a unit without asking")


def install(ctx: Context) -> None:
    args = ctx.args
    system = args.system or (os.geteuid() == 0 and not args.user)
    service = _service(ctx, system=system)
    if args.cron or not (BOOTED.is_dir() or args.system or args.user or args.only_print):
        if not args.cron:
            ctx.out.note("This machine does not run systemd. The line for cron (crontab -e):")
        ctx.out.say(cron_line(service))
    elif args.only_print:
        ctx.out.say(*unit(service).rstrip("\n").split("\n"))
    else:
        write_service(ctx, service, system=system)


def _service(ctx: Context, *, system: bool) -> Service:
    from orchestra.cli.local import pilots
    from orchestra.files import local_machine
    from orchestra.wiring.pilot import PilotSpec, check_root

    with database(ctx) as conn:
        node = pilots.node_or_this(ctx, conn, ctx.args.node)
        check_root(ctx.settings, conn, allowed=ctx.args.allow_root, serve_all=ctx.args.serve_all)
    path = ctx.settings.path
    spec = PilotSpec(
        node=node,
        prefers_to_conduct=ctx.args.master,
        serve_all=ctx.args.serve_all,
        config=str(path) if path and path.exists() else None,
        allow_root=ctx.args.allow_root,
    )
    environment = kept_environment(ctx.settings, os.environ)
    account = local_machine.account() if system else None
    return Service(node, spec.command(), environment, account)


def kept_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that the service needs: the PATH, the language and the settings of the environment.

    Raises:
        Refused: one of them is a secret, and everybody can read a unit.
    """
    from orchestra.config import SETTINGS, SYSTEM_VARIABLE

    kept = {name: environ[name] for name in ("PATH", "LANG") if environ.get(name)}
    if SYSTEM_VARIABLE in environ:
        kept[SYSTEM_VARIABLE] = environ[SYSTEM_VARIABLE]
    for setting in SETTINGS:
        variable = f"MAESTRO_{setting.name.upper()}"
        if settings.origin(setting.name) != variable:
            continue
        if setting.secret:
            raise Refused(
                f"{variable} is set in your environment, and a unit that everybody can read must not contain it.",
                hint=f'Set "{setting.name}" in {settings.path or "~/.orchestra.json"} instead, unset {variable}, '
                "and repeat this.",
            )
        kept[variable] = environ[variable]
    return kept


def write_service(ctx: Context, service: Unit, *, system: bool) -> None:
    """Write a unit, if it is new or has changed, and print the next commands.

    Raises:
        Cancelled: another one stays.
        Refused, VolumeError: it cannot be written.
    """
    if system and os.geteuid():
        raise Refused(
            "only root can install a service for the whole machine.",
            hint="Use sudo, or --user for a service of your own.",
        )
    path = (SYSTEM_UNITS if system else user_units(os.environ)) / service.unit_name
    text, old = unit(service), _present_unit(path)
    if old == text:
        ctx.out.say(f"{path} is up to date")
    else:
        if old is not None:
            _ask(ctx, path, old, text)
        _write_unit(path, text)
        ctx.out.say(f"{path} {'written' if old is None else 'replaced'}")
    ctx.out.note("Next:", *(f"  {line}" for line in next_steps(service)))


def user_units(environ: Mapping[str, str]) -> Path:
    """Return the folder of the user's own units, systemd.unit(5)."""
    home = home_folder(environ)
    base = environ.get("XDG_CONFIG_HOME") or (home and home / ".config")
    if not base:
        raise BadInput(f"{why_none()}, so there is no folder for your own units.")
    return Path(base) / "systemd" / "user"


def _present_unit(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror}.") from None


def _ask(ctx: Context, path: Path, old: str, new: str) -> None:
    """Show the changes, and ask.

    Raises:
        Cancelled: the old unit stays.
    """
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "old", "new", lineterm="")
    ctx.out.note(*lines)
    if not ctx.out.ask(f"{path} differs. Replace it?", yes=ctx.args.yes):
        raise Cancelled


def _write_unit(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        make_own(path.parent, 0o755)
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise VolumeError(f"{path} cannot be written: {error.strerror}.") from None


def next_steps(service: Unit) -> Iterator[str]:
    """Return the commands that start the service."""
    systemctl = "systemctl" if service.account else "systemctl --user"
    yield f"{systemctl} daemon-reload"
    yield f"{systemctl} enable --now {service.unit_name}"
    if not service.account:
        yield "loginctl enable-linger     # runs it while you are not logged in"
