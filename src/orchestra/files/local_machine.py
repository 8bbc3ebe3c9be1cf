"""Facts of the local machine that a request needs: absolute paths, the Unix account, the host name."""

from __future__ import annotations

import os
import pwd
import socket

from orchestra.homefolder import expanded


def full_path(path: str | os.PathLike[str]) -> str:
    """Return an absolute path with ~ expanded. Symlinks are kept, as people know those paths."""
    return os.path.abspath(expanded(path))  # noqa: PTH100


def image(text: str) -> str:
    """Return an image with the path of a local file or folder made absolute. It is checked later."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme in ("docker-archive", "oci-archive", "oci") and rest[:1] not in ("/", ""):
        return f"{scheme}:{full_path(rest)}"
    is_path = text.startswith(("./", "../", "~")) or text in (".", "..")
    is_file = text.endswith((".sif", ".simg", ".img")) and "://" not in text
    # Not pathlib, which raises if a name is too long.
    if is_path or is_file or ("/" not in text and os.path.exists(text)):  # noqa: PTH110
        return full_path(text)
    return text


def account() -> str:
    """The Unix account of this process, whose pilots may run its tasks."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # an account without a name, as in some containers
        return str(os.geteuid())


def host() -> str:
    """This machine's host name as valid UTF-8; the kernel accepts any bytes."""
    return os.fsencode(socket.gethostname()).decode(errors="replace")


def process_exists(pid: int) -> bool:
    """Whether there is such a process, perhaps a zombie. Needs no /proc, which may hide those of other accounts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
