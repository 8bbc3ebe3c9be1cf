"""Jobs' logs: the ends that the database keeps, and any part of one."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.jobs import LogChunk, LogPart
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ReadLog(Question[LogChunk]):
    """The stored part of an attempt's log from byte `offset` on; repeat it to follow the log.

    With `refresh`, the pilot that runs the attempt sends the present end, which takes about a second.

    Raises:
        NotFound: there is no such attempt.
        NotAllowed: the server keeps logs to the owners of the jobs.
    """

    task: int
    index: int
    attempt: int
    offset: int = 0
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class ReadLogPart(Question[LogPart]):
    """At most 256 kB of an attempt's log from byte `offset` on; from its end if that is negative.

    The file is read if it is below a folder from which this server may read logs, else the pilot that ran the attempt
    is asked to send the part. Then the answer is `awaited`: repeat the request for some seconds.

    Raises:
        NotFound: there is no such attempt.
        NotAllowed: the server keeps logs to the owners of the jobs.
        BadInput: the offset is invalid.
    """

    task: int
    index: int
    attempt: int
    offset: int = 0
