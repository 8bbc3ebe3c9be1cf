"""What this machine has for jobs: container runtimes and GPUs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.local.doctor.finding import Failure, Finding, failed, ok, warning
from orchestra.domain import gpus, human
from orchestra.domain.models.nodes import Device
from orchestra.domain.secrets import without_secrets
from orchestra.gpus.reader import LIBRARY, is_installed

if TYPE_CHECKING:
    from orchestra.config import Settings

PROGRAMS = ("apptainer", "singularity", "podman", "docker")
_ANSWER_WITHIN = 8.0
_COMPLAINT = 300
"""Characters of a program's error that are shown."""


@dataclass(frozen=True, slots=True)
class Program:
    """A container runtime on the PATH; `failure` is why it cannot be used."""

    name: str
    version: str = ""
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Gpus:
    """The GPUs that jobs can use, the number of the driver's device files, and why others cannot be used."""

    devices: tuple[Device, ...]
    files: int = 0
    complaints: tuple[str, ...] = ()


def find_runtimes(settings: Settings) -> tuple[Program, ...]:
    """Return the runtimes that a pilot of this configuration would use, then those that are installed but unusable.

    Raises:
        ConfigurationError: the configured runtime is not installed.
    """
    from orchestra.runtimes import podman_pause
    from orchestra.wiring.containers import container_runtimes

    found = container_runtimes(settings, leave_no_files=True)
    podman_pause.clean_up(os.environ)
    usable = [Program(one.name, one.version) for one in found]
    if settings.container_runtime is not None:
        return tuple(usable)
    names = [one.name for one in usable]
    others = [
        (name, path) for name in PROGRAMS if name not in names and (path := shutil.which(name))
    ]
    asked = [_ask(name, path) for name, path in others]
    return (*usable, *(one for one in asked if one.failure))


def _ask(name: str, path: str) -> Program:
    # The docker command needs its server, so that has to answer.
    question = ["version", "--format", "{{.Server.Version}}"] if name == "docker" else ["--version"]
    said, complaint = _run([path, *question])
    found = re.search(r"\d[\w.+~-]*", said)
    if complaint or not found:
        return Program(name, failure=complaint or "it prints no version")
    return Program(name, found[0])


def _run(command: Sequence[str]) -> tuple[str, str | None]:
    """Return what a program printed, and its error, if any."""
    try:
        done = subprocess.run(
            command,
            check=False,
            env=without_secrets(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_WITHIN,
        )
    except subprocess.TimeoutExpired:
        return "", f"it did not answer within {human.duration(_ANSWER_WITHIN)}"
    except OSError as error:
        return "", error.strerror or str(error)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        return done.stdout, human.one_line(
            lines[-1] if lines else f"exit status {done.returncode}", _COMPLAINT
        )
    return done.stdout, None


def assess_runtimes(seen: Sequence[Program] | Failure) -> Iterator[Finding]:
    """Report the runtimes; a machine without any can run tasks without an image."""
    check = "runtimes"
    if isinstance(seen, Failure):
        yield failed(check, seen)
        return
    usable = [f"{one.name} {one.version}" for one in seen if not one.failure]
    broken = [f"{one.name} cannot be used: {one.failure}" for one in seen if one.failure]
    if usable:
        yield ok(check, "; ".join([human.listed(usable), *broken]))
    elif broken:
        yield warning(check, "; ".join(broken))
    else:
        yield ok(
            check,
            "none: jobs run on the machine itself, and tasks with an image wait for other nodes",
        )


def find_gpus() -> Gpus:
    """Find NVIDIA's GPUs, and what keeps them from being used."""
    from orchestra.cli.local import machine

    complaints: list[str] = []
    devices = machine.gpus(complaints.append)
    files = sum(path.name[6:].isdecimal() for path in Path("/dev").glob("nvidia*"))
    if files and not is_installed():
        complaints.append(f"There is a driver of NVIDIA, but not its library {LIBRARY}.")
    return Gpus(devices, files, tuple(complaints))


def assess_gpus(seen: Gpus | Failure, *, node: str, enabled: int | None) -> Iterator[Finding]:
    """Compare the GPUs with the node's slots; `enabled` is None if this machine is not a node."""
    check = "gpu"
    if isinstance(seen, Failure):
        yield failed(check, seen)
        return
    for complaint in seen.complaints:
        yield warning(check, complaint)
    found = len(seen.devices)
    if enabled is not None and enabled > found and not seen.complaints:
        yield warning(
            check,
            f"node {node} has {human.count(enabled, 'GPU slot')}, but this machine has {_named(seen)}.",
            f"maestro node set -n {node} -eg {found}",
        )
    elif enabled is not None and enabled < found:
        yield warning(
            check,
            f"this machine has {_named(seen)}, but node {node} has {human.count(enabled, 'GPU slot')}.",
            f"maestro node set -n {node} -eg {found} -mg {found}",
        )
    elif found or not seen.complaints:
        yield ok(check, _named(seen))


def _named(seen: Gpus) -> str:
    return gpus.in_words(seen.devices) or "no GPU"


@dataclass(frozen=True, slots=True)
class Root:
    """Root, with a database that other users share. `allowed_in` is where the configuration allows its pilots."""

    allowed_in: str | None


def find_root(settings: Settings) -> Root | None:
    """Whether a pilot started here would run the jobs of others as root."""
    from orchestra.wiring.database import uses_server

    if os.geteuid() != 0 or not uses_server(settings):
        return None
    return Root(settings.origin("allow_root") if settings.allow_root else None)


def assess_root(root: Root | None) -> Iterator[Finding]:
    """Report what root's pilots may do."""
    if root and root.allowed_in:
        yield ok(
            "root",
            f"a pilot started by root runs everybody's jobs as root, as allow_root in {root.allowed_in} allows",
        )
    elif root:
        yield warning(
            "root",
            "this is root, so no pilot starts here: it would run everybody's jobs as root.",
            "Start pilots from an ordinary account, or with --allow-root if all who can create tasks may be root here.",
        )
