"""The report on one task."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from orchestra.domain.estimates import Estimate
from orchestra.domain.models.changed_inputs import ChangedInputs
from orchestra.domain.models.events import Event
from orchestra.domain.models.failures import FailureGroup
from orchestra.domain.models.mails import Mail
from orchestra.domain.models.results import RunPlace, Sources
from orchestra.domain.models.sources import Source
from orchestra.domain.models.tasks import Task
from orchestra.domain.wording import Sentence


@dataclass(frozen=True, slots=True)
class TaskReport:
    """All that `task show` shows. `cpu_seconds` is estimated for tasks with more than 10,000 attempts."""

    task: Task
    now: datetime
    config: Source
    inputs: tuple[Source, ...]
    events: tuple[Event, ...]
    failures: tuple[FailureGroup, ...]
    waiting: tuple[Sentence, ...]
    ends: Estimate
    cpu_seconds: float | None
    cpu_is_exact: bool
    mails: tuple[Mail, ...] = ()
    owner_wants_mail: bool = True
    doubts: ChangedInputs = field(default_factory=ChangedInputs)


@dataclass(frozen=True, slots=True)
class Report:
    """What the written report on a task is made of.

    `results` are all results of the task, or a random sample of a large one with its best. `places` is where its
    attempts ran. `version` is that of the Orchestra that answered.
    """

    shown: TaskReport
    results: Sources
    places: tuple[RunPlace, ...]
    version: str
