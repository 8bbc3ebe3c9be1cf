"""The sockets that a server listens at."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from errno import EADDRINUSE
from pathlib import Path

DEFAULT_PORT = 8765


def listen(host: str, port: int | None) -> socket.socket:
    """Return a listening socket; without a port, the usual one, or any free one if that is taken.

    Raises:
        OSError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (DEFAULT_PORT, 0) if port is None else (port,):
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, number))
            found.listen()  # who connects before the server is ready waits
        except OSError:
            found.close()
            if port is not None or number == 0:
                raise
        else:
            return found
    raise AssertionError("the last port is any free one")


def listen_at_socket(path: str) -> socket.socket:
    """Return a Unix socket that listens. A socket that nobody listens at any more is replaced.

    Raises:
        OSError: the path cannot be used, or another process listens there.
    """
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(ConnectionRefusedError, FileNotFoundError):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(path)
            raise OSError(EADDRINUSE, os.strerror(EADDRINUSE))
        if stat.S_ISSOCK(_mode(path)):
            Path(path).unlink()
        found.bind(path)
        Path(path).chmod(0o666)  # its folder decides who can connect
        found.listen()
    except BaseException:
        found.close()
        raise
    return found


def _mode(path: str) -> int:
    try:
        return Path(path).lstat().st_mode
    except FileNotFoundError:
        return 0
