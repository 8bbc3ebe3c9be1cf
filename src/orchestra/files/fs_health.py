"""Does a file system answer? Asked before a command touches it, so that no command hangs with it in silence.

Another process asks, and is left to itself where nothing comes: a thread that hangs in a file system can keep its
process from ending.
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
"""Seconds after which a file system is said not to answer."""
AGAIN = 0.5
"""The same for one that did not answer the last time."""
GOOD_FOR = 2.0
"""Seconds for which an answer is good."""
_ASKS = ("/usr/bin/stat", "/bin/stat")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.02


@dataclass(slots=True)
class _Known:
    answers: bool
    until: float


_known: dict[str, _Known] = {}


def check(*paths: str | os.PathLike[str], patience: float | None = None) -> None:
    """Wait for these paths to answer, whatever it is that they say.

    Raises:
        VolumeError: one of them does not, within `patience` seconds (10).
    """
    if silent := first_unresponsive(paths, patience=patience):
        raise VolumeError(
            f"{silent} does not answer.",
            hint="Its file system hangs: see whether its server can be reached. Nothing waits for it here.",
        )


def first_unresponsive(
    paths: Iterable[str | os.PathLike[str]], *, patience: float | None = None
) -> str | None:
    """Give the first of these paths that does not answer; None where all do."""
    patience, now = PATIENCE if patience is None else patience, time.monotonic()
    asked = {
        path: _ask(path)
        for path in dict.fromkeys(os.fspath(each) for each in paths)
        if _is_due(path, now)
    }
    for path, pid in asked.items():
        known = _known.get(path)
        longest = patience if known is None or known.answers else min(AGAIN, patience)
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
    """Begin to ask; the server has to answer this, while what is known of a file may come from a cache."""
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
        except ChildProcessError:  # somebody else waits for all children of this process
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
    threading.Thread(target=_bury, args=(pid,), name="abandoned", daemon=True).start()


def _bury(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
