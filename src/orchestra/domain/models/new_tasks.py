"""The request for a new task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestra.domain.models.placement import ANYWHERE, Placement
from orchestra.domain.models.tasks import METRICS_FILE, Origin, Policy, Resources
from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class NewTask:
    """A new task as a user requests it.

    Args:
        config: the config data set's name, or `task:NAME` for the outputs of an older task's done jobs.
        data: the data set that all jobs read, %DATA; None if they read none.
        secondary: data sets by tag (with or without the %).
        volume: an absolute path.
        image: the container image; paths of files and folders are absolute.
        complete_file: the file that a job must leave in its folder to be done.
        binds: further bind mounts of the container, as `domain.binds` parses them.
        account: the Unix account whose pilots may run it. A server replaces it by the one that was proven; if none was,
            it is empty, and only pilots that serve all accounts run the task.
        host: the machine on which it was requested, or the proven account's.
        reuse: use the task's folder even if it is not empty.
        metrics_file: the file with a job's metrics for `task results`, a path below its folder.
        after: numbers or names of tasks that must be DONE before this one starts.
        goal: the metric that decides which job is best: "min:NAME" or "max:NAME".
        attach_report: attach the task's report to the mail at its end.
        origin: where the program came from.
        placement: on which nodes its jobs may run.
        attempts: the highest number of an attempt in a reused folder; new ones count on from it.
    """

    name: str
    command: str
    config: str
    data: str | None
    volume: str
    account: str
    host: str
    secondary: Mapping[str, str] = field(default_factory=dict)
    queue: Queue = Queue.CPU
    image: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    resources: Resources = field(default_factory=Resources)
    complete_file: str | None = None
    binds: tuple[str, ...] = ()
    reuse: bool = False
    metrics_file: str = METRICS_FILE
    after: tuple[str, ...] = ()
    attempts: int = 0
    goal: str | None = None
    attach_report: bool = False
    origin: Origin | None = None
    placement: Placement = ANYWHERE
