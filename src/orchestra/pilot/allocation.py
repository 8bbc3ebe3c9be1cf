"""Whether a disk has room: it is allocated for a moment, which also finds quotas."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

ENOUGH = 512 * 1024
"""Bytes: some hundred outcomes, and a few lines of a log."""


def allocation_error(folder: Path, size: int = ENOUGH) -> OSError | None:
    """Return the error of creating a file of that size; None if there is room."""
    path = folder / "room"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        return error
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
    return None
