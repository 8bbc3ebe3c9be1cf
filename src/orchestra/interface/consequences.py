"""Questions about what an action would do."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.consequences import TaskAction
from orchestra.domain.states import JobStatus
from orchestra.interface.answers.consequences import Consequences
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ConsequencesOf(Question[Consequences]):
    """What an action on a task, named by number or name, would do now.

    Args:
        status, reason, line, node, config: for `retry_jobs` and `kill_jobs`, which jobs; as in `RetryMatching`.

    Raises:
        BadInput: there is no such task, or the filter is invalid.
        NotFound: there is no such task.
    """

    word: str
    action: TaskAction
    status: JobStatus | None = None
    reason: str | None = None
    line: str | None = None
    node: str | None = None
    config: str | None = None
