"""What is asked for of a task that is to be made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestra.domain.models.tasks import METRICS_FILE, Policy, Resources
from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a user asks for.

    Args:
        config: the config data set's name, or `task:NAME` for the outputs of an older task's done jobs.
        secondary: data sets by tag (with or without the %).
        volume: an absolute path.
        image: the container image; paths of files and folders are absolute.
        complete_file: what a job must leave in its folder to be done.
        binds: what else the container sees of its machine, each as `domain.binds` reads it.
        account: the Unix account whose pilots may run it.
        host: the machine on which it was asked for.
        reuse: take the task's folder even if something lies in it already.
        metrics_file: what a job leaves in its folder for `task results`, a path below it.
        after: numbers or names of tasks that must be DONE before this one begins.
        attempts: where the folder is used again, the highest number of an attempt in it; new ones count on.
    """

    name: str
    command: str
    config: str
    data: str
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
