"""Files with values in them, as far as they are opened; `domain/documents` reads what they say."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from orchestra.domain.documents import BOUNDS, Unusable
from orchestra.services import job_files


def load(path: str) -> bytes:
    """Give what is in a file of the caller's own choice.

    Raises:
        Unusable: it is not there, no regular file, too large, or cannot be read.
    """
    # Not blocking: a named pipe would never open.
    return _loaded(lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))


def load_written(folder: str, name: str) -> bytes:
    """Give what is in a file that a job wrote, below an attempt's folder.

    Raises:
        Unusable: as `load`, or it is reached by a link or may be somebody else's.
    """
    return _loaded(lambda: job_files.open_file(folder, name))


def _loaded(open_it: Callable[[], int]) -> bytes:
    try:
        descriptor = open_it()
    except job_files.Untrusted as error:
        raise Unusable(error.strerror or "") from None
    except (FileNotFoundError, NotADirectoryError):
        raise Unusable("is missing") from None
    except (OSError, ValueError) as error:
        raise Unusable(f"cannot be read: {getattr(error, 'strerror', error)}") from None
    try:
        content = _all_of(descriptor)
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    return content


def _all_of(descriptor: int) -> bytes:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise Unusable("is no regular file")
    BOUNDS.check_size(found.st_size)
    # One byte more than there is: less than what was asked for is the end, without a second look.
    return os.read(descriptor, found.st_size + 1)
