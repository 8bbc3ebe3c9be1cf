"""The code of a refused connection. The server's text may be in any language.

libpq includes the code of a refusal (SQLSTATE) only in its text, and only if asked before the answer arrives. psycopg
does not ask, so finding out the code takes another connection.
"""

from __future__ import annotations

import ctypes
import re
import select
import time
from functools import cache
from pathlib import Path

import psycopg
from psycopg import pq

_VERBOSE = 2
_CODE = re.compile(r":  ([0-9A-Z]{5}): ")
_ROUTINE = re.compile(r"^\w+:  (\w+), \w+\.c:\d+$", re.MULTILINE)
_EVENTS = {pq.PollingStatus.READING: select.POLLIN, pq.PollingStatus.WRITING: select.POLLOUT}


def of_refusal(conninfo: str, seconds: float) -> tuple[str, str] | None:
    """Connect again, and return the code of the refusal with the routine of PostgreSQL that refuses.

    None if the server no longer refuses, does not answer in time, or the code is not available.
    """
    libpq = _libpq()
    if libpq is None:
        return None
    conn = pq.PGconn.connect_start(conninfo.encode())
    try:
        libpq.PQsetErrorVerbosity(conn.pgconn_ptr, _VERBOSE)  # type: ignore[attr-defined]  # in each of its kinds
        _wait(conn, time.monotonic() + seconds)
        said = conn.error_message.decode(errors="replace")
    except (OSError, psycopg.Error):
        return None
    finally:
        conn.finish()
    codes, routines = _CODE.findall(said), _ROUTINE.findall(said)
    return (codes[-1], routines[-1] if routines else "") if codes else None


def _wait(conn: pq.abc.PGconn, until: float) -> None:
    state = pq.PollingStatus.WRITING
    while conn.status != pq.ConnStatus.BAD and state in _EVENTS and time.monotonic() < until:
        ready = select.poll()
        ready.register(conn.socket, _EVENTS[state])
        if ready.poll(max(0.0, until - time.monotonic()) * 1000):
            state = pq.PollingStatus(conn.connect_poll())


@cache
def _libpq() -> ctypes.CDLL | None:
    """Return the libpq that psycopg has loaded: its own copy, or the system's."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        paths = (line.split(maxsplit=5)[-1] for line in lines)
        libpq = ctypes.CDLL(next(path for path in paths if Path(path).name.startswith("libpq")))
        libpq.PQsetErrorVerbosity.argtypes = (ctypes.c_void_p, ctypes.c_int)
    except (OSError, StopIteration, AttributeError):
        return None
    return libpq
