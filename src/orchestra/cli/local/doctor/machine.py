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

from orchestra.cli.local.doctor.finding import Finding, Trouble, of_trouble, ok, warning
from orchestra.domain import human
from orchestra.domain.secrets import without_secrets

if TYPE_CHECKING:
    from orchestra.config import Settings

PROGRAMS = ("apptainer", "singularity", "podman", "docker")
_ANSWER_WITHIN = 8.0
_COMPLAINT = 300
"""Letters of what a program says: a sentence or two, whole."""


@dataclass(frozen=True, slots=True)
class Program:
    """A container runtime that stands on the PATH; `trouble` is why it cannot be used."""

    name: str
    version: str = ""
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Gpus:
    """What was found. `devices` are the driver's files; `complaint` is what nvidia-smi said when it failed."""

    names: tuple[str, ...]
    devices: int = 0
    complaint: str | None = None


def look_for_runtimes(settings: Settings) -> tuple[Program, ...]:
    """Give the runtimes that a pilot of this configuration would use, then those that are there and cannot be used.

    Raises:
        ConfigurationError: the one that is configured is not there.
    """
    from orchestra.runtimes import podman_pause
    from orchestra.wiring.containers import container_runtimes

    found = container_runtimes(settings, traceless=True)
    podman_pause.clean_up(os.environ)
    usable = [Program(one.name, one.version) for one in found]
    if settings.container_runtime is not None:
        return tuple(usable)
    names = [one.name for one in usable]
    others = [
        (name, path) for name in PROGRAMS if name not in names and (path := shutil.which(name))
    ]
    asked = [_ask(name, path) for name, path in others]
    return (*usable, *(one for one in asked if one.trouble))


def _ask(name: str, path: str) -> Program:
    # The docker command alone does nothing: its server has to answer.
    question = ["version", "--format", "{{.Server.Version}}"] if name == "docker" else ["--version"]
    said, complaint = _run([path, *question])
    found = re.search(r"\d[\w.+~-]*", said)
    if complaint or not found:
        return Program(name, trouble=complaint or "it says no version")
    return Program(name, found[0])


def _run(command: Sequence[str]) -> tuple[str, str | None]:
    """Give what a program printed, and what is wrong with it."""
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


def judge_runtimes(seen: Sequence[Program] | Trouble) -> Iterator[Finding]:
    """Say which there are; having none is no problem as long as no task has an image."""
    check = "runtimes"
    if isinstance(seen, Trouble):
        yield of_trouble(check, seen)
        return
    usable = [f"{one.name} {one.version}" for one in seen if not one.trouble]
    broken = [f"{one.name} cannot be used: {one.trouble}" for one in seen if one.trouble]
    if usable:
        yield ok(check, "; ".join([human.listed(usable), *broken]))
    elif broken:
        yield warning(check, "; ".join(broken))
    else:
        yield ok(check, "none: jobs run on the machine itself, tasks with an image wait for others")


def look_for_gpus() -> Gpus:
    """Look for NVIDIA's GPUs and for what keeps them from being used."""
    from orchestra.cli.local import machine

    names = machine.gpu_names()
    devices = sum(path.name[6:].isdecimal() for path in Path("/dev").glob("nvidia*"))
    complaint = None
    if shutil.which("nvidia-smi") and not names:
        _, complaint = _run(["nvidia-smi", "-L"])
    return Gpus(tuple(names), devices, complaint)


def judge_gpus(seen: Gpus | Trouble, *, node: str, enabled: int | None) -> Iterator[Finding]:
    """Compare the GPUs with the node's slots; `enabled` is None where this machine is no node."""
    check = "gpu"
    if isinstance(seen, Trouble):
        yield of_trouble(check, seen)
    elif seen.complaint or (seen.devices and not seen.names):
        why = seen.complaint or "nvidia-smi is not on the PATH"
        yield warning(check, f"there is an NVIDIA driver, and its GPUs cannot be listed: {why}")
    elif enabled is not None and enabled > len(seen.names):
        yield warning(
            check,
            f"node {node} offers {human.count(enabled, 'GPU slot')}, and this machine shows {_named(seen)}.",
            f"maestro node set -n {node} -eg {len(seen.names)}",
        )
    elif enabled is not None and enabled < len(seen.names):
        yield warning(
            check,
            f"this machine has {_named(seen)}, and node {node} offers {human.count(enabled, 'GPU slot')}.",
            f"maestro node set -n {node} -eg {len(seen.names)} -mg {len(seen.names)}",
        )
    else:
        yield ok(check, _named(seen))


def _named(seen: Gpus) -> str:
    from orchestra.cli.local.machine import in_words

    return in_words(seen.names) if seen.names else "no GPU"


@dataclass(frozen=True, slots=True)
class Root:
    """That this is root, and others share the database. `allowed_in` is where that is said to be right."""

    allowed_in: str | None


def look_for_root(settings: Settings) -> Root | None:
    """Say whether a pilot that is started here would run the jobs of others as root."""
    from orchestra.wiring.database import uses_server

    if os.geteuid() != 0 or not uses_server(settings):
        return None
    return Root(settings.origin("allow_root") if settings.allow_root else None)


def judge_root(root: Root | None) -> Iterator[Finding]:
    """Say what root's pilots do."""
    if root and root.allowed_in:
        yield ok(
            "root",
            f"a pilot of root runs everybody's jobs as root, as allow_root in {root.allowed_in} allows",
        )
    elif root:
        yield warning(
            "root",
            "this is root, so no pilot starts here: it would run everybody's jobs as root.",
            "Start pilots as an ordinary account; or with --allow-root, if all who may create tasks may be root",
        )
