"""Events: the recorded history of tasks and jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    at: datetime
    kind: str
    task_id: int | None
    index: int | None
    attempt: int | None
    from_state: str | None
    to_state: str | None
    who: str
    why: str | None
    jobs: int | None
    node: str | None = None
