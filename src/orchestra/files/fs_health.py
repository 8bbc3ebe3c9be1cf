"""Whether a file system answers, checked before a command uses it, so that no command hangs silently.

A child process tests it and is abandoned if it does not return; a hanging thread could keep this process from exiting.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from orchestra.domain.errors import VolumeError

PATIENCE = 10.0
"""Seconds after which a file system is considered hung."""
RETRY_PATIENCE = 0.5
"""The same for one that did not answer last time."""
GOOD_FOR = 2.0
"""Seconds for which an answer is valid."""
_ASKS = ("/usr/bin/stat", "/bin/stat")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02


@dataclass(slots=True)
class _Known:
    answers: bool
    until: float


_known: dict[str, _Known] = {}


def check(*paths: str | os.PathLike[str], patience: float | None = None) -> None:
    """Wait for these paths to answer, whether or not they exist.

    Raises:
        VolumeError: one of them does not, within `patience` seconds (10).
    """
    if silent := first_unresponsive(paths, patience=patience):
        raise VolumeError(
            f"{silent} does not answer.",
            hint="Its file system hangs. Check whether its server can be reached.",
        )


def first_unresponsive(
    paths: Iterable[str | os.PathLike[str]], *, patience: float | None = None
) -> str | None:
    """The first of these paths that does not answer, or None."""
    patience, now = PATIENCE if patience is None else patience, time.monotonic()
    asked = {
        path: _ask(path)
        for path in dict.fromkeys(os.fspath(each) for each in paths)
        if _is_due(path, now)
    }
    for path, pid in asked.items():
        known = _known.get(path)
        longest = patience if known is None or known.answers else min(RETRY_PATIENCE, patience)
        answers = pid is None or _ends(pid, now + longest)
        _known[path] = _Known(answers, time.monotonic() + GOOD_FOR)
        if not answers:
            _abandon(pid)
            return path
    return None


def _is_due(path: str, now: float) -> bool:
    known = _known.get(path)
    return known is None or not known.answers or now >= known.until


def _ask(path: str) -> int | None:
    """Start `stat -f`, which the server must answer; facts about a file may come from a cache."""
    program = next(filter(os.path.exists, _ASKS), None)
    if program is None:
        return None
    with suppress(OSError, ValueError):
        return os.posix_spawn(
            program,
            ("stat", "-L", "-f", "--", path),
            {},
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ),
            setsid=True,
        )
    return None


def _ends(pid: int, deadline: float) -> bool:
    pause = _FIRST_PAUSE
    while True:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
        except ChildProcessError:  # other code waits for all children of this process
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _abandon(pid: int | None) -> None:
    if pid is None:
        return
    with suppress(OSError):
        os.kill(pid, 9)
    threading.Thread(target=_reap, args=(pid,), name="abandoned", daemon=True).start()


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
