"""What a test needs from its machine: `@pytest.mark.needs("root", "podman")`.

If that is missing, the test is skipped with the reason. With CI=true it fails instead, because there nobody reads why
something was skipped. Two are excused if tools/install-containers has recorded that they could not be installed:
Apptainer, which comes from a Debian suite that changes, and Docker, which is unpacked beside the installed packages.
Their tests are then skipped, and the summary of the run says so. An NVIDIA GPU cannot be installed at all.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

BY_HAND = "tools/install-containers installs it"
APPTAINER_FAILED = Path("/opt/apptainer.failed")
DOCKER_FAILED = Path("/opt/docker.failed")
_DOCKER_PARTS = ("dockerd", "containerd", "containerd-shim-runc-v2", "docker-init", "docker")


def missing(what: str, *, excuse: str | None = None) -> NoReturn:
    """Skip the current test, or fail it if CI=true and there is no excuse."""
    if os.environ.get("CI") == "true" and excuse is None:
        pytest.fail(f"{what}; with CI=true that must not be skipped", pytrace=False)
    pytest.skip(what)


def need(*names: str) -> None:
    """End the test that runs unless the machine has all of these (the keys of PROBES)."""
    for name in names:
        reason = PROBES[name]()
        if reason:
            missing(reason, excuse=excuse_for(name))


def excuse_for(name: str) -> str | None:
    """Return why a requirement may be missing: it could not be fetched or unpacked, or is hardware."""
    if name == "nvidia gpu":
        return "few machines have one"
    noted = {"apptainer": APPTAINER_FAILED, "docker": DOCKER_FAILED}.get(name)
    if noted and noted.exists() and PROBES[name]():
        return noted.read_text()
    return None


def _program(name: str, hint: str = "") -> Callable[[], str | None]:
    words = f"there is no {name}{f' ({hint})' if hint else ''}"
    return lambda: None if shutil.which(name) else words


def _root() -> str | None:
    return "only root can do this" if os.geteuid() else None


def _fuse() -> str | None:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"no FUSE here: {error.strerror}"
    return None


def _podman() -> str | None:
    absent = [name for name in ("podman", "runc", "busybox") if not shutil.which(name)]
    return f"there is no {', no '.join(absent)} ({BY_HAND})" if absent else None


def _apptainer() -> str | None:
    absent = [name for name in ("apptainer", "busybox") if not shutil.which(name)]
    return f"there is no {', no '.join(absent)} ({BY_HAND})" if absent else None


def docker_folder() -> str | None:
    """Return the folder of Docker's programs: what tools/install-containers unpacks, or what is installed."""
    for folder in ("/opt/docker/bin", *os.environ["PATH"].split(os.pathsep)):
        if all(os.access(f"{folder}/{part}", os.X_OK) for part in _DOCKER_PARTS):
            return folder
    return None


def _docker() -> str | None:
    absent = [name for name in ("runc", "busybox", "setpriv") if not shutil.which(name)]
    absent += [] if docker_folder() else ["dockerd"]
    if absent:
        return f"there is no {', no '.join(absent)} ({BY_HAND})"
    return _root()


def registry_program() -> str | None:
    """Return the path of the image registry that tools/install-containers unpacks, or of an installed one."""
    return shutil.which(
        "docker-registry", path=f"{os.environ['PATH']}:/opt/docker-registry/usr/bin"
    )


def _registry() -> str | None:
    return None if registry_program() else f"there is no docker-registry ({BY_HAND})"


def _postgresql_15() -> str | None:
    from support import debian15

    if (debian15.FOLDER / "postgres").exists():
        return None
    return "there is no PostgreSQL 15 of Debian (tools/install-postgresql installs it)"


def _nginx() -> str | None:
    from support.nginx import program

    return None if program() else "there is no nginx (tools/install-nginx unpacks it)"


def _nvidia_gpu() -> str | None:
    return None if Path("/dev/nvidia0").exists() else "this machine has no NVIDIA GPU"


def _network_namespaces() -> str | None:
    absent = [name for name in ("unshare", "nsenter", "setpriv", "ip") if not shutil.which(name)]
    if absent:
        return f"there is no {', no '.join(absent)}"
    made = subprocess.run(
        ["unshare", "--net", "--uts", "--mount", "ip", "link", "add", "x", "type", "bridge"],
        check=False,
        capture_output=True,
        text=True,
    )
    return (
        f"no network of its own can be made here: {made.stderr.strip()}"
        if made.returncode
        else None
    )


def _slurm() -> str | None:
    absent = [
        name for name in ("slurmctld", "slurmd", "sbatch", "munged") if not shutil.which(name)
    ]
    if absent:
        return f"there is no {', no '.join(absent)} (tools/install-slurm installs it)"
    return _root() or _network_namespaces()


def _memory_cgroup() -> str | None:
    from orchestra.pilot import keeper

    if keeper.MemoryController().path:
        return None
    return "this account may not make a cgroup of the memory controller here"


def _module(name: str) -> str | None:
    return None if importlib.util.find_spec(name) else f"the Python package {name} is not installed"


PROBES: dict[str, Callable[[], str | None]] = {
    "root": _root,
    "apptainer": functools.cache(_apptainer),
    "podman": functools.cache(_podman),
    "docker": functools.cache(_docker),
    "registry": _registry,
    "postgresql 15": _postgresql_15,
    "mmdebstrap": _program("mmdebstrap", BY_HAND),
    "bash": _program("bash"),
    "cc": _program("cc", "tools/install-cc installs it"),
    "nvidia gpu": _nvidia_gpu,
    "nginx": _nginx,
    "chromium": _program("chromium", "tools/install-chromium installs it"),
    "groff": _program("groff", BY_HAND),
    "slurm": _slurm,
    "systemd-analyze": _program("systemd-analyze"),
    "fuse": _fuse,
    "memory cgroup": functools.cache(_memory_cgroup),
    "network namespaces": functools.cache(_network_namespaces),
    "sklearn": functools.partial(_module, "sklearn"),
}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check what a test needs before its fixtures are set up."""
    for mark in item.iter_markers("needs"):
        need(*mark.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report at the end of the run that tests were skipped that should have run."""
    for name in ("apptainer", "docker"):
        if excuse := excuse_for(name):
            terminalreporter.section(f"{name.upper()} WAS NOT TESTED", red=True, bold=True)
            terminalreporter.line(f"tools/install-containers could not get it:\n{excuse}", red=True)
