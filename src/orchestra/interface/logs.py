"""The parts of jobs' logs that the database keeps."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.jobs import LogChunk
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ReadLog(Question[LogChunk]):
    """The stored part of an attempt's log from byte `offset` on; repeat it to follow the log.

    With `refresh`, the pilot that runs the attempt sends the present end, which takes about a second.

    Raises:
        NotFound: there is no such attempt.
    """

    task: int
    index: int
    attempt: int
    offset: int = 0
    refresh: bool = False
