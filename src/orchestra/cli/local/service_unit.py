"""A pilot or a server as a service: the text of a systemd unit, and of a pilot's line for cron."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from orchestra.domain.errors import Refused

RESTART_SECONDS = 3
"""Shorter than the time after which a keeper starts a pilot itself."""
SERVICE = "--service"
"""The option of `pilot run` under a service manager."""
CRON_PAUSE = 60


class Unit(Protocol):
    """What a unit says. `account` is the Unix account that it runs as, None for the user's own service manager."""

    @property
    def unit_name(self) -> str: ...
    @property
    def written_by(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def argv(self) -> tuple[str, ...]: ...
    @property
    def behaviour(self) -> tuple[str, ...]: ...
    @property
    def environment(self) -> Mapping[str, str]: ...
    @property
    def account(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Service:
    """The argument list of the pilot, with absolute paths, and the variables that it needs.

    `account` is the Unix account that it runs as, None for the user's own service manager.
    """

    node: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    account: str | None = None

    @property
    def unit_name(self) -> str:
        return f"orchestra-pilot-{self.node}.service"

    @property
    def written_by(self) -> str:
        return "maestro pilot install"

    @property
    def description(self) -> str:
        return f"Orchestra pilot of node {self.node}"

    @property
    def argv(self) -> tuple[str, ...]:
        return (*self.command, SERVICE)

    @property
    def behaviour(self) -> tuple[str, ...]:
        return _BEHAVIOUR


def unit(service: Unit) -> str:
    """Return the unit; docs/running-as-a-service.md explains its lines."""
    user = [f"User={service.account}"] if service.account else []
    variables = service.environment.items()
    lines = [
        f"# Written by: {service.written_by}",
        "[Unit]",
        f"Description={_without_specifiers(service.description)}",
        *(_AFTER if service.account else ()),
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        *user,
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in variables),
        f"ExecStart={' '.join(map(_argument, service.argv))}",
        *service.behaviour,
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if service.account else 'default.target'}",
    ]
    return "\n".join(lines) + "\n"


_AFTER = (
    "Wants=network-online.target",
    (
        "After=network-online.target remote-fs.target autofs.service nss-user-lookup.target time-sync.target "
        "postgresql.service"
    ),
)
_BEHAVIOUR = (
    "Restart=always",
    f"RestartSec={RESTART_SECONDS}",
    "# After maestro pilot stop it exits with 0 and is not restarted.",
    "RestartPreventExitStatus=0",
    "# Jobs and their keeper keep running when the pilot is stopped, restarted or upgraded.",
    "KillMode=process",
    "TimeoutStopSec=30",
    "# A job that runs out of memory does not stop the service; the number of threads is not limited.",
    "OOMPolicy=continue",
    "TasksMax=infinity",
)


def quoted(word: str) -> str:
    """Quote a word of a unit's value: systemd reads quotes, C escapes and specifiers (systemd.syntax(7))."""
    return '"' + _without_specifiers(re.sub(r'["\\]|[^ -~]', _escaped, word)) + '"'


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))


def _without_specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _argument(word: str) -> str:
    """Quote an argument of ExecStart=, where $NAME is a variable."""
    return quoted(word.replace("$", "$$"))


def cron_line(service: Service) -> str:
    """Return the crontab line that starts the pilot at each boot, retrying until the database answers.

    Raises:
        Refused: a crontab cannot contain such a path.
    """
    variables = [f"{name}={shlex.quote(value)}" for name, value in service.environment.items()]
    words = [*variables, *map(shlex.quote, (*service.command, "--detach"))]
    line = f"@reboot until {' '.join(words)} >/dev/null 2>&1; do sleep {CRON_PAUSE}; done"
    if not line.isprintable():
        raise Refused(
            "a path or variable of this pilot contains a line break or control character, which a crontab cannot."
        )
    return line.replace("%", "\\%")  # an unescaped one ends the command, crontab(5)
