"""What the database keeps of jobs' logs."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.jobs import LogChunk
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ReadLog(Question[LogChunk]):
    """What is kept of an attempt's log from byte `offset` on; asked again and again, it is followed.

    With `refresh` the pilot that runs the attempt sends what there is by now, which comes within a second or so.

    Raises:
        NotFound: there is no such attempt.
    """

    task: int
    index: int
    attempt: int
    offset: int = 0
    refresh: bool = False
