"""Reading files of JSON, YAML and TOML within bounds; `domain/documents` parses them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from orchestra.domain.documents import BOUNDS, Unusable
from orchestra.files import job_files


class Missing(Unusable):
    """The file does not exist."""


def load(path: str) -> bytes:
    """Read a file that the caller chose.

    Raises:
        Unusable: it does not exist, is not a regular file, is too large, or cannot be read.
    """
    # Non-blocking, since opening a named pipe would hang.
    end, facts = _open_and_read_end(
        lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), BOUNDS.bytes
    )
    BOUNDS.check_size(facts.st_size)
    return end


def load_written(folder: str, name: str, most: int) -> tuple[bytes, int]:
    """Read at most the last `most` bytes of a file that a job wrote; return them and the file's size.

    Raises:
        Unusable: it does not exist, cannot be read, or is not safe to open (`job_files.Untrusted`).
    """
    end, facts = load_growing(folder, name, most)
    return end, facts.st_size


def load_growing(folder: str, name: str, most: int) -> tuple[bytes, os.stat_result]:
    """Read the same of a job that may still be writing; return the bytes with the file's size and times.

    Raises:
        Missing: it does not exist.
        Unusable: as `load_written`.
    """
    return _open_and_read_end(lambda: job_files.open_file(folder, name), most)


def _open_and_read_end(open_it: Callable[[], int], most: int) -> tuple[bytes, os.stat_result]:
    try:
        descriptor = open_it()
        try:
            return _read_end(descriptor, most)
        finally:
            os.close(descriptor)
    except job_files.Untrusted as error:
        raise Unusable(error.strerror or "") from None
    except (FileNotFoundError, NotADirectoryError):
        raise Missing("is missing") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"cannot be read: {getattr(error, 'strerror', error)}") from None


def _read_end(descriptor: int, most: int) -> tuple[bytes, os.stat_result]:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise Unusable("is not a regular file")
    start = max(0, found.st_size - most)
    return os.pread(descriptor, found.st_size - start, start), found
