"""Which container runtimes this machine has: looked for once, when a pilot starts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestra.domain.errors import ConfigurationError
from orchestra.domain.images import RUNTIMES
from orchestra.domain.secrets import without_secrets
from orchestra.runtimes import podman_pause
from orchestra.runtimes.apptainer import ApptainerRuntime
from orchestra.runtimes.engines import EngineRuntime

ContainerRuntime = ApptainerRuntime | EngineRuntime

PATIENCE = 20.0
"""Seconds in which a program has to say its version."""
NONE = "none"
_UNKNOWN = "that is no runtime that is known"
# Also looked at: services are started with a short PATH.
_FURTHER = ("/usr/local/bin", "/usr/bin", "/opt/apptainer/bin")
_MOUNTS_SINCE = {"apptainer": (1, 0), "singularity": (3, 9)}


def find(
    wanted: str | None,
    environ: Mapping[str, str],
    *,
    origin: str = "the configuration",
    traceless: bool = False,
) -> tuple[ContainerRuntime, ...]:
    """Give the runtimes of this machine, best first; where one is `wanted`, by name or full path, that one alone.

    Args:
        wanted: None for all that are there, `none` for none of them.
        origin: where `wanted` stands, for people.
        traceless: leave nothing behind of what a program makes when it is asked.

    Raises:
        ConfigurationError: the one that is wanted is not there, or cannot be used.
    """
    if wanted == NONE:
        return ()
    if wanted is None:
        with ThreadPoolExecutor() as pool:  # each is a program that starts
            found = pool.map(
                lambda name: _look(name, _path(name, environ), environ, traceless), RUNTIMES
            )
        return _each_once([runtime for runtime in found if isinstance(runtime, ContainerRuntime)])
    path = wanted if wanted.startswith("/") else _path(wanted, environ)
    runtime = _look(_name_of(path or wanted), path, environ, traceless)
    if isinstance(runtime, str):
        shown = f' is "{wanted}"' if wanted in RUNTIMES or wanted.startswith("/") else ""
        raise ConfigurationError(
            f'"container_runtime"{shown} in {origin}{", and" if shown else ":"} {runtime}.',
            hint=f"It is one of {', '.join(RUNTIMES)}, the full path of one, or none.",
        )
    return (runtime,)


def _path(name: str, environ: Mapping[str, str]) -> str | None:
    if name not in RUNTIMES:
        return None
    return shutil.which(name, path=":".join([environ.get("PATH", ""), *_FURTHER]))


def _name_of(path: str) -> str:
    base = Path(path).name
    return next((name for name in RUNTIMES if base.startswith(name)), base)


def _each_once(found: list[ContainerRuntime]) -> tuple[ContainerRuntime, ...]:
    """Leave out what is a second name of a program that was found: Apptainer calls itself singularity, too."""
    by_program: dict[Path, ContainerRuntime] = {}
    for runtime in found:
        by_program.setdefault(Path(runtime.program).resolve(), runtime)
    return tuple(by_program.values())


def _look(
    name: str, path: str | None, environ: Mapping[str, str], traceless: bool
) -> ContainerRuntime | str:
    """Give a runtime, or why it cannot be used."""
    if path is None or not os.access(path, os.X_OK):
        return (
            f"there is no {path or f'{name} on the PATH'}" if path or name in RUNTIMES else _UNKNOWN
        )
    path = str(Path(path).absolute())
    try:
        if name == "podman":
            return _podman(path, environ, traceless)
        if name == "docker":
            return _docker(path, environ)
        if name in ("apptainer", "singularity"):
            return _apptainer(path, environ)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{path} cannot be used: {_words(error)}"
    return _UNKNOWN


def _apptainer(path: str, environ: Mapping[str, str]) -> ContainerRuntime:
    said = _said(environ, path, "--version")
    name = "apptainer" if said.startswith("apptainer") else "singularity"
    version = _version(said)
    since = _MOUNTS_SINCE[name]
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    amd = os.path.exists("/dev/kfd") and not os.path.exists("/dev/nvidiactl")  # noqa: PTH110
    return ApptainerRuntime(
        path,
        name,
        version,
        takes_mounts=numbers >= since,
        gpu_option="--rocm" if amd else "--nv",
        unsquash=_cannot_mount(path, environ),
    )


def _cannot_mount(path: str, environ: Mapping[str, str]) -> bool:
    """Whether this account can mount no SIF: neither by FUSE nor because the program is root's."""
    if os.geteuid() == 0 or os.access("/dev/fuse", os.R_OK | os.W_OK):
        return False
    return "SUID_INSTALL=1" not in _said(environ, path, "buildcfg")


def _podman(path: str, environ: Mapping[str, str], traceless: bool) -> ContainerRuntime:
    # In a pilot this also makes the process that holds a user's name space; one that a job's keeper started would be
    # taken for the job's.
    marked = {**environ, podman_pause.MARK: "1"}
    with _elsewhere(traceless) as options:
        facts: dict[str, Any] = json.loads(_said(marked, path, *options, "info", "--format=json"))
    host = facts["host"]
    rootless = bool(host["security"]["rootless"])
    # Without lines in /etc/subuid there is one account inside, which is called root and is the user's.
    several = sum(each["size"] for each in (host.get("idMappings") or {}).get("uidmap") or ()) > 1
    return EngineRuntime(
        path,
        "podman",
        facts["version"]["Version"],
        user=(0, 0) if rootless and not several else (os.geteuid(), os.getegid()),
        keep_id=rootless and several,
        limits_memory="memory" in (host.get("cgroupControllers") or ()),
    )


@contextmanager
def _elsewhere(traceless: bool) -> Iterator[Sequence[str]]:
    """Give options by which a user's podman makes folders that go again afterwards, with the process that it leaves."""
    if not traceless or os.geteuid() == 0:  # root's folders are the machine's
        yield ()
        return
    with tempfile.TemporaryDirectory(
        prefix="orchestra-podman-", ignore_cleanup_errors=True
    ) as folder:
        try:
            yield [
                f"--{each}={folder}/{each}"
                for each in ("root", "runroot", "tmpdir", "network-config-dir")
            ]
        finally:
            with suppress(OSError, ValueError):
                os.kill(int(Path(folder, "tmpdir", "pause.pid").read_text()), signal.SIGKILL)


def _docker(path: str, environ: Mapping[str, str]) -> ContainerRuntime:
    version = _said(environ, path, "version", "--format={{.Server.Version}}")
    return EngineRuntime(path, "docker", _version(version), user=(os.geteuid(), os.getegid()))


def ask(
    command: Sequence[str], environ: Mapping[str, str], patience: float
) -> subprocess.CompletedProcess[str]:
    """Run a runtime's program and wait for what it says, `patience` seconds at most.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it went on for longer, and was ended.
    """
    return subprocess.run(
        command,
        env=without_secrets(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=patience,
        check=False,
        cwd="/",
    )


def _said(environ: Mapping[str, str], *command: str) -> str:
    done = ask(command, environ, PATIENCE)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ValueError(lines[-1] if lines else f"exit status {done.returncode}")
    return done.stdout.strip()


def _version(text: str) -> str:
    found = re.search(r"\d[\w.+~-]*", text)
    if not found:
        raise ValueError(f"it says no version: {text[:80]!r}")
    return found[0]


def _words(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it did not answer within {PATIENCE:g} s"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
