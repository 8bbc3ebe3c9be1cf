"""What a command is started in: the account, its home folder, shared memory, the host's name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.local.doctor import folders
from orchestra.cli.local.doctor.finding import Finding, Trouble, of_trouble, problem, warning
from orchestra.cli.local.doctor.folders import Place
from orchestra.domain import human
from orchestra.domain.naming import as_name
from orchestra.homefolder import home_folder, why_none

if TYPE_CHECKING:
    from orchestra.config import Settings

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at alone
_LITTLE = 64_000_000
"""Bytes: what Docker gives to containers."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is not as usual.

    Args:
        nameless: the uid, where no entry of passwd has it.
        no_initdb: why no embedded database can be made by it.
        homeless: why there is no home folder.
        host: the host name, and `node` what a node makes of it.
    """

    nameless: int | None
    no_initdb: str | None
    homeless: str | None
    shared_memory: Place
    host: str
    node: str


def look(settings: Settings) -> Surroundings:
    """Look at what this command was started in."""
    from orchestra.store.postgres import embedded, initdb_user
    from orchestra.wiring.database import uses_server
    from orchestra.wiring.identity import node_name

    named = initdb_user.has_entry()
    makes_one = not (named or uses_server(settings) or embedded.status(settings.data_dir).exists)
    return Surroundings(
        nameless=None if named else os.geteuid(),
        no_initdb=initdb_user.why_not() if makes_one else None,
        homeless=why_none() if home_folder() is None else None,
        shared_memory=folders.look(SHARED_MEMORY),
        host=socket.gethostname(),
        node=node_name(settings),
    )


def judge(seen: Surroundings | Trouble) -> Iterator[Finding]:
    """Say what of it is in the way of something."""
    if isinstance(seen, Trouble):
        yield of_trouble("surroundings", seen)
        return
    if seen.no_initdb:
        from orchestra.store.postgres.initdb_user import HINT

        yield problem("account", seen.no_initdb, HINT)
    elif seen.nameless is not None:
        yield warning(
            "account",
            f"uid {seen.nameless} has no entry in passwd: container runtimes and programs of jobs may ask for one.",
            "Have it entered in /etc/passwd (docker run -v, nss_wrapper).",
        )
    if seen.homeless:
        yield warning(
            "home",
            f"{seen.homeless}: what would be there is in /var/tmp.",
            'Set HOME; or name folders: "data_dir" and "state_dir" in the configuration.',
        )
    yield from _judge_memory(seen.shared_memory)
    if seen.node != seen.host.partition(".")[0] and seen.node == as_name(
        seen.host.partition(".")[0]
    ):
        yield warning(
            "host name",
            f'"{human.one_line(seen.host, 80)}" cannot be a node\'s name, so this machine is "{seen.node}".',
            '"node" in the configuration names another.',
        )


def _judge_memory(place: Place) -> Iterator[Finding]:
    if complaint := _of_memory(place):
        yield warning(
            "shared memory",
            f"{place.path} {complaint}. Jobs whose processes share memory (PyTorch's data loaders, say) may fail; "
            "the database needs none of it.",
            "docker run --shm-size 1g   or: mount -o remount,size=1G /dev/shm",
        )


def _of_memory(place: Place) -> str | None:
    if not place.exists:
        return "is not there"
    if place.unwritable:
        return f"cannot be written to: {place.unwritable.lower()}"
    return f"has only {human.size(place.free)} free" if place.free < _LITTLE else None
