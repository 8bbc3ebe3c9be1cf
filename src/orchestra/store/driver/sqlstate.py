"""Why a server refuses a connection, as a code: what it says in words is in its language, which may be any.

libpq tells the code of a refusal (SQLSTATE) within its text alone, and only where that is asked for before the answer
comes. psycopg does not ask; so whoever wants to know the code connects once more.
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
    """Connect once more, and give the code of the refusal with the routine of PostgreSQL that refuses.

    None where it does not refuse any more, says nothing in that time, or the code cannot be learnt.
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
    """Give the library that psycopg has loaded: its own copy, or the system's."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        paths = (line.split(maxsplit=5)[-1] for line in lines)
        libpq = ctypes.CDLL(next(path for path in paths if Path(path).name.startswith("libpq")))
        libpq.PQsetErrorVerbosity.argtypes = (ctypes.c_void_p, ctypes.c_int)
    except (OSError, StopIteration, AttributeError):
        return None
    return libpq
