"""Removes what an ordinary user's podman leaves behind when it is asked for its version.

That is a process that holds the user's namespace and, without a login session, folders in /tmp. If a job's podman had
started that process, the keeper would consider it the job's: so a pilot starts it first, and cleans up when it leaves.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

MARK = "ORCHESTRA_ASKS"
"""Marks, in its environment, the process that this program has started. An earlier one is not marked."""
_PROC = Path("/proc")


def clean_up(environ: Mapping[str, str]) -> None:
    """End the marked process, unless a container or another pilot of this account needs it."""
    ended = False
    for folder in _runtime_folders(environ):
        pid_file = folder / "libpod/tmp/pause.pid"
        try:
            pid = int(pid_file.read_text(encoding="ascii"))
            marked = f"{MARK}=1".encode() in (_PROC / f"{pid}/environ").read_bytes().split(b"\0")
            namespace = (_PROC / f"{pid}/ns/user").readlink()
        except (OSError, ValueError):
            continue
        if not marked or any(_needs(other, namespace) for other in _others(pid)):
            return
        os.kill(pid, signal.SIGKILL)
        pid_file.unlink(missing_ok=True)
        ended = True
    for folder in filter(_is_ours, _in_tmp()):
        if ended:  # a login session would remove them
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _remove_empty(folder)


def _runtime_folders(environ: Mapping[str, str]) -> list[Path]:
    named = environ.get("XDG_RUNTIME_DIR")
    return [*([Path(named)] if named else []), Path(f"/run/user/{os.geteuid()}"), *_in_tmp()]


def _in_tmp() -> list[Path]:
    kinds = ("podman-run", "storage-run", "containers-user")
    return [Path(f"/tmp/{kind}-{os.geteuid()}") for kind in kinds]  # noqa: S108 - podman's own


def _others(pid: int) -> Iterator[Path]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and int(entry.name) not in (pid, os.getpid()):
            yield entry


def _needs(process: Path, namespace: Path) -> bool:
    """Whether a process is in the namespace, or is another pilot of this account."""
    try:
        if (process / "ns/user").readlink() == namespace:
            return True
        if process.stat().st_uid != os.geteuid():
            return False
        words = (process / "cmdline").read_bytes().split(b"\0")
        return b"orchestra.cli.main" in words and b"pilot" in words and b"run" in words
    except OSError:  # it has ended, or belongs to another account
        return False


def _remove_empty(folder: Path) -> None:
    for each, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # it is not empty
            Path(each).rmdir()


def _is_ours(folder: Path) -> bool:
    try:
        return not folder.is_symlink() and folder.stat().st_uid == os.geteuid()
    except OSError:
        return False
