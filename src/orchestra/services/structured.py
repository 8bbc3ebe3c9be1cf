"""Files with values in them, as far as they are opened; `domain/documents` reads what they say."""

from __future__ import annotations

import os
import stat

from orchestra.domain.documents import BOUNDS, Unusable


def load(path: str) -> bytes:
    """Give what is in a file.

    Raises:
        Unusable: it is not there, no regular file, too large, or cannot be read.
    """
    try:
        # Not blocking: a named pipe would never open.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
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
