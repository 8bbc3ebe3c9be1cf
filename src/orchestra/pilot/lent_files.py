"""What pilots in allocations leave on a machine, to which nobody comes back: their folders, and their scratch folders.

A pilot that leaves removes its own. Where one was killed together with its keeper, the next one on that machine does.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestra.domain.errors import OrchestraError
from orchestra.pilot import scratch_roots, state_folder
from orchestra.pilot.keeper_spool import is_alive, read_spool

log = logging.getLogger(__name__)

COPY = "allocation.json"
"""The file that every folder of such a pilot has: what it was told of its allocation (wiring/lent.py)."""
EMPTY_FOR, UNSENT_FOR = 3600.0, 2 * 86400.0
"""Seconds after which a folder is removed: without outcomes that nobody has reported, and with them."""


def remove(folder: Path) -> None:
    """Remove the folder of a pilot, and its scratch folders."""
    for root in scratch_roots.former(folder / "scratch.json", folder):
        with suppress(OSError):
            os.close(scratch_roots.open_marked(root))
            shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def remove_left(own: Path) -> list[str]:
    """Remove what killed pilots of this account have left beside a pilot's own folder; return the names of theirs.

    Runs in an I/O thread.
    """
    removed = []
    for folder in sorted(path.parent for path in own.parent.glob(f"*/{COPY}")):
        if folder != own and _is_over(folder):
            remove(folder)
            removed.append(folder.name)
    return removed


def _is_over(folder: Path) -> bool:
    with _unused(folder) as is_unused:
        if not is_unused or any(map(is_alive, _keepers(folder))):
            return False
        try:
            age = time.time() - (folder / COPY).stat().st_mtime
        except OSError:
            return False
        return age > (UNSENT_FOR if any(map(_has_outcomes, _keepers(folder))) else EMPTY_FOR)


def _keepers(folder: Path) -> list[Path]:
    with suppress(OSError):
        return list((folder / "keepers").iterdir())
    return []


def _has_outcomes(keeper: Path) -> bool:
    try:
        spool = read_spool(keeper)
    except (OrchestraError, OSError, ValueError, KeyError):
        return False
    return bool(spool.outcomes or spool.running)


@contextmanager
def _unused(folder: Path) -> Iterator[bool]:
    """Hold the lock of the folder's agents; False if one lives."""
    try:
        descriptor = os.open(state_folder.lock_path(folder), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield True  # none has ever started
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)
