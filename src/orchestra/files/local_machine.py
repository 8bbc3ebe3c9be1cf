"""What only the machine knows on which something is asked for: its paths, and the account that asks."""

from __future__ import annotations

import os
import pwd
import socket

from orchestra.homefolder import expanded


def full_path(path: str | os.PathLike[str]) -> str:
    """Give a path in full, with ~ read as the home folder; links stay the paths that people know."""
    return os.path.abspath(expanded(path))  # noqa: PTH100


def image(text: str) -> str:
    """Give an image with the path of a file or folder here in full; what else it is, is looked at later."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme in ("docker-archive", "oci-archive", "oci") and rest[:1] not in ("/", ""):
        return f"{scheme}:{full_path(rest)}"
    is_path = text.startswith(("./", "../", "~")) or text in (".", "..")
    is_file = text.endswith((".sif", ".simg", ".img")) and "://" not in text
    # Not pathlib's, which raises where a name is too long.
    if is_path or is_file or ("/" not in text and os.path.exists(text)):  # noqa: PTH110
        return full_path(text)
    return text


def account() -> str:
    """Give the Unix account that this runs as, whose pilots may run what it asks for."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # an account that only a number knows, as in some containers
        return str(os.geteuid())


def host() -> str:
    """Give this machine's host name as a database can hold it: the kernel takes any bytes for one."""
    return os.fsencode(socket.gethostname()).decode(errors="replace")
