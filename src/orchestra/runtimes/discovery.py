"""Finds the container runtimes of this machine, once, when a pilot starts."""

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

TIMEOUT = 20.0
"""Seconds that a program has to report its version."""
NONE = "none"
_UNKNOWN = "that is not a known runtime"
# Searched after PATH, which is short for services.
_FALLBACK_PATH = ("/usr/local/bin", "/usr/bin", "/opt/apptainer/bin")
_MOUNTS_SINCE = {"apptainer": (1, 0), "singularity": (3, 9)}


def find_runtimes(
    wanted: str | None,
    environ: Mapping[str, str],
    *,
    origin: str = "the configuration",
    leave_no_files: bool = False,
) -> tuple[ContainerRuntime, ...]:
    """Return the runtimes of this machine, the best first.

    Args:
        wanted: only this one, by name or full path; None for all, `none` for none.
        origin: where `wanted` is configured, for people.
        leave_no_files: remove the files and processes that a program creates when it is asked for its version.

    Raises:
        ConfigurationError: the wanted one does not exist, or cannot be used.
    """
    if wanted == NONE:
        return ()
    if wanted is None:
        with ThreadPoolExecutor() as pool:  # each one starts a program
            found = pool.map(
                lambda name: _probe(name, _path(name, environ), environ, leave_no_files), RUNTIMES
            )
        return _without_aliases(
            [runtime for runtime in found if isinstance(runtime, ContainerRuntime)]
        )
    path = wanted if wanted.startswith("/") else _path(wanted, environ)
    runtime = _probe(_name_of(path or wanted), path, environ, leave_no_files)
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
    return shutil.which(name, path=":".join([environ.get("PATH", ""), *_FALLBACK_PATH]))


def _name_of(path: str) -> str:
    base = Path(path).name
    return next((name for name in RUNTIMES if base.startswith(name)), base)


def _without_aliases(found: list[ContainerRuntime]) -> tuple[ContainerRuntime, ...]:
    """Drop second names of the same program: Apptainer is also installed as singularity."""
    by_program: dict[Path, ContainerRuntime] = {}
    for runtime in found:
        by_program.setdefault(Path(runtime.program).resolve(), runtime)
    return tuple(by_program.values())


def _probe(
    name: str, path: str | None, environ: Mapping[str, str], leave_no_files: bool
) -> ContainerRuntime | str:
    """Return a runtime, or why it cannot be used."""
    if path is None or not os.access(path, os.X_OK):
        return (
            f"there is no {path or f'{name} on the PATH'}" if path or name in RUNTIMES else _UNKNOWN
        )
    path = str(Path(path).absolute())
    try:
        if name == "podman":
            return _podman(path, environ, leave_no_files)
        if name == "docker":
            return _docker(path, environ)
        if name in ("apptainer", "singularity"):
            return _apptainer(path, environ)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return f"{path} cannot be used: {_reason(error)}"
    return _UNKNOWN


def _apptainer(path: str, environ: Mapping[str, str]) -> ContainerRuntime:
    output = _output(environ, path, "--version")
    name = "apptainer" if output.startswith("apptainer") else "singularity"
    version = _version(output)
    since = _MOUNTS_SINCE[name]
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    amd = os.path.exists("/dev/kfd") and not os.path.exists("/dev/nvidiactl")  # noqa: PTH110
    return ApptainerRuntime(
        path,
        name,
        version,
        has_mount=numbers >= since,
        gpu_option="--rocm" if amd else "--nv",
        unsquash=_cannot_mount(path, environ),
    )


def _cannot_mount(path: str, environ: Mapping[str, str]) -> bool:
    """Whether this account cannot mount SIF files: there is no FUSE, and the program is not setuid root."""
    if os.geteuid() == 0 or os.access("/dev/fuse", os.R_OK | os.W_OK):
        return False
    return "SUID_INSTALL=1" not in _output(environ, path, "buildcfg")


def _podman(path: str, environ: Mapping[str, str], leave_no_files: bool) -> ContainerRuntime:
    # In a pilot this also starts the process that holds the user's namespace. If a job's podman started it, the keeper
    # would consider it the job's.
    marked = {**environ, podman_pause.MARK: "1"}
    with _temporary_storage(leave_no_files) as options:
        facts: dict[str, Any] = json.loads(_output(marked, path, *options, "info", "--format=json"))
    host = facts["host"]
    rootless = bool(host["security"]["rootless"])
    # Without entries in /etc/subuid there is one account inside, called root, which is the user.
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
def _temporary_storage(leave_no_files: bool) -> Iterator[Sequence[str]]:
    """Yield options that make a user's podman use temporary folders; end the process that it leaves behind."""
    if not leave_no_files or os.geteuid() == 0:  # root uses the machine's folders
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
    version = _output(environ, path, "version", "--format={{.Server.Version}}")
    return EngineRuntime(path, "docker", _version(version), user=(os.geteuid(), os.getegid()))


def run_program(
    command: Sequence[str], environ: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a runtime's program and return its output, with a timeout in seconds.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it was killed because of the timeout.
    """
    return subprocess.run(
        command,
        env=without_secrets(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        cwd="/",
    )


def _output(environ: Mapping[str, str], *command: str) -> str:
    done = run_program(command, environ, TIMEOUT)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise ValueError(lines[-1] if lines else f"exit status {done.returncode}")
    return done.stdout.strip()


def _version(text: str) -> str:
    found = re.search(r"\d[\w.+~-]*", text)
    if not found:
        raise ValueError(f"it reports no version: {text[:80]!r}")
    return found[0]


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it did not answer within {TIMEOUT:g} s"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
