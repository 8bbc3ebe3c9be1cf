"""What the database keeps of jobs' logs. The files themselves are read by who can see them: `files/job_logs.py`."""

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
    """Give what is kept of an attempt's log from a byte on.

    `refresh` has the pilot that runs the attempt send the end of the log as it is now; it comes within a second or so.

    Raises:
        NotFound: there is no such attempt.
        BadInput: there cannot be such a byte.
    """
    check_whole("an offset", offset, least=0, most=_MOST)
    chunk = store.log_chunk(conn, task, index, number, offset)
    if chunk is None:
        raise NotFound(
            f"there is no attempt {number} of job {task}/{index}.",
            kind="attempt",
            task=task,
            job=index,
            attempt=number,
        )
    if refresh and chunk.grows:
        channels.notify(conn, channels.NODE, f"{channels.TAIL}{task}/{index}/{number}")
    return LogChunk(chunk.offset or 0, chunk.data or b"", chunk.length, chunk.over)
