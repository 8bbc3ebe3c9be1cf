"""A pilot as a service: the text of a systemd unit, and of a line for cron. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.domain.errors import Refused

RESTART_SECONDS = 3
"""Sooner than a keeper looks for a pilot itself."""
SERVICE = "--service"
"""The option of `pilot run` for one that a service manager looks after."""
CRON_PAUSE = 60


@dataclass(frozen=True, slots=True)
class Service:
    """What is to run: the argument list (paths are absolute) and the variables that it needs beside the usual ones.

    `account` is the Unix account that it runs as, None for the user's own service manager.
    """

    node: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    account: str | None = None

    @property
    def unit_name(self) -> str:
        return f"orchestra-pilot-{self.node}.service"


def unit(service: Service) -> str:
    """Give the unit. What its lines are for stands in docs/running-as-a-service.md."""
    user = [f"User={service.account}"] if service.account else []
    variables = service.environment.items()
    lines = [
        "# Written by: maestro pilot install",
        "[Unit]",
        f"Description=Orchestra pilot of node {_without_specifiers(service.node)}",
        *(_AFTER if service.account else ()),
        "StartLimitIntervalSec=0",
        "",
        "[Service]",
        *user,
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in variables),
        f"ExecStart={' '.join(map(_argument, (*service.command, SERVICE)))}",
        *_MANNERS,
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
_MANNERS = (
    "Restart=always",
    f"RestartSec={RESTART_SECONDS}",
    "# Asked to leave (maestro pilot stop), it ends with 0 and stays away until it is started again.",
    "RestartPreventExitStatus=0",
    "# Jobs and their keeper live on when the pilot is stopped, restarted or upgraded.",
    "KillMode=process",
    "TimeoutStopSec=30",
    "# A job that runs out of memory is its own affair, and jobs may have as many threads as they like.",
    "OOMPolicy=continue",
    "TasksMax=infinity",
)


def quoted(word: str) -> str:
    """Write a word of a unit's value: systemd undoes quotes, C escapes and specifiers (systemd.syntax(7))."""
    return '"' + _without_specifiers(re.sub(r'["\\]|[^ -~]', _escaped, word)) + '"'


def _escaped(found: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))


def _without_specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _argument(word: str) -> str:
    """Write an argument of ExecStart=, where $NAME would be a variable."""
    return quoted(word.replace("$", "$$"))


def cron_line(service: Service) -> str:
    """Give the line with which cron starts it at each boot; it tries until the database answers.

    Raises:
        Refused: cron cannot be given such a path.
    """
    variables = [f"{name}={shlex.quote(value)}" for name, value in service.environment.items()]
    words = [*variables, *map(shlex.quote, (*service.command, "--detach"))]
    line = f"@reboot until {' '.join(words)} >/dev/null 2>&1; do sleep {CRON_PAUSE}; done"
    if not line.isprintable():
        raise Refused(
            "a path or variable of this pilot holds a line break or its like; cron takes none."
        )
    return line.replace("%", "\\%")  # a bare one ends the command, crontab(5)
