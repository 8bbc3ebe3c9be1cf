"""What commands run in: the account, its home folder, shared memory, the host's name."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.local.doctor import folders
from orchestra.cli.local.doctor.finding import Failure, Finding, failed, problem, warning
from orchestra.cli.local.doctor.folders import Folder
from orchestra.domain import human
from orchestra.domain.naming import as_name
from orchestra.homefolder import home_folder, why_none

if TYPE_CHECKING:
    from orchestra.config import Settings

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - it is only inspected
_LITTLE = 64_000_000
"""Bytes, the default size in Docker's containers."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What may be unusual.

    Args:
        nameless: the uid, if passwd has no entry for it.
        no_initdb: why this account cannot create an embedded database.
        homeless: why there is no home folder.
        host: the host name; `node` is the node name made from it.
    """

    nameless: int | None
    no_initdb: str | None
    homeless: str | None
    shared_memory: Folder
    host: str
    node: str


def inspect(settings: Settings) -> Environment:
    """Inspect what this command runs in."""
    from orchestra.store.postgres import embedded, initdb_user
    from orchestra.wiring.database import uses_server
    from orchestra.wiring.identity import node_name

    named = initdb_user.has_entry()
    elsewhere = uses_server(settings) or settings.server is not None
    makes_one = not (named or elsewhere or embedded.status(settings.data_dir).exists)
    return Environment(
        nameless=None if named else os.geteuid(),
        no_initdb=initdb_user.why_not() if makes_one else None,
        homeless=why_none() if home_folder() is None else None,
        shared_memory=folders.inspect(SHARED_MEMORY),
        host=socket.gethostname(),
        node=node_name(settings),
    )


def assess(seen: Environment | Failure) -> Iterator[Finding]:
    """Report what is unusual."""
    if isinstance(seen, Failure):
        yield failed("environment", seen)
        return
    if seen.no_initdb:
        from orchestra.store.postgres.initdb_user import HINT

        yield problem("account", seen.no_initdb, HINT)
    elif seen.nameless is not None:
        yield warning(
            "account",
            f"uid {seen.nameless} has no entry in passwd: container runtimes and programs of jobs may need one.",
            "Add one to /etc/passwd, by docker run -v or nss_wrapper.",
        )
    if seen.homeless:
        yield warning(
            "home",
            f"{seen.homeless}: /var/tmp is used instead.",
            'Set HOME, or "data_dir" and "state_dir" in the configuration.',
        )
    yield from _assess_memory(seen.shared_memory)
    if seen.node != seen.host.partition(".")[0] and seen.node == as_name(
        seen.host.partition(".")[0]
    ):
        yield warning(
            "host name",
            f'"{human.one_line(seen.host, 80)}" cannot be a node\'s name, so this machine is "{seen.node}".',
            'Set "node" in the configuration to choose another name.',
        )


def _assess_memory(place: Folder) -> Iterator[Finding]:
    if complaint := _of_memory(place):
        yield warning(
            "shared memory",
            f"{place.path} {complaint}. Jobs whose processes share memory (such as PyTorch's data loaders) may fail; "
            "the database does not need it.",
            "docker run --shm-size 1g   or: mount -o remount,size=1G /dev/shm",
        )


def _of_memory(place: Folder) -> str | None:
    if not place.exists:
        return "does not exist"
    if place.unwritable:
        return f"cannot be written to: {place.unwritable.lower()}"
    return f"has only {human.size(place.free)} free" if place.free < _LITTLE else None
