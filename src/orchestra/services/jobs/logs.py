"""The parts of jobs' logs that the database keeps. `files/job_logs.py` reads the log files themselves."""

from __future__ import annotations

import psycopg

from orchestra.domain.errors import NotFound
from orchestra.domain.storable import check_whole
from orchestra.interface.answers.jobs import LogChunk
from orchestra.store.driver import channels
from orchestra.store.jobs import jobs as store

_MOST = 2**63 - 1


def log_chunk(
    conn: psycopg.Connection,
    task: int,
    index: int,
    number: int,
    *,
    offset: int = 0,
    refresh: bool = False,
) -> LogChunk:
    """Return the stored part of an attempt's log from a byte offset on.

    `refresh` asks the pilot that runs the attempt to send the present end of the log, which takes about a second.

    Raises:
        NotFound: there is no such attempt.
        BadInput: the offset is invalid.
    """
    check_whole("an offset", offset, least=0, most=_MOST)
    chunk = store.log_chunk(conn, task, index, number, offset)
    if chunk is None:
        raise no_such_attempt(task, index, number)
    if refresh and chunk.grows:
        channels.notify(conn, channels.NODE, f"{channels.TAIL}{task}/{index}/{number}")
    return LogChunk(chunk.offset or 0, chunk.data or b"", chunk.length, chunk.over)


def no_such_attempt(task: int, index: int, number: int) -> NotFound:
    return NotFound(
        f"there is no attempt {number} of job {task}/{index}.",
        kind="attempt",
        task=task,
        job=index,
        attempt=number,
    )
