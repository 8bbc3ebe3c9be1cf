"""Requests for new tasks, from the arguments of `client.tasks.create`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestra.client import words
from orchestra.client.datasets import name_of
from orchestra.client.session import Session
from orchestra.client.task import Task
from orchestra.domain.models.datasets import DataSet
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import METRICS_FILE
from orchestra.domain.placement import placement_of

TaskLike = Task | int | str
"""A task, its number or its name."""


def new_task(
    session: Session,
    name: str,
    *,
    config: str | DataSet | Task,
    command: words.Command,
    data: str | DataSet | None = None,
    secondary: Mapping[str, str | DataSet] | None = None,
    queue: str = "cpu",
    volume: str | os.PathLike[str] | None = None,
    after: TaskLike | Sequence[TaskLike] = (),
    image: str | os.PathLike[str] | None = None,
    bind: Sequence[str] = (),
    env: Mapping[str, str | int | float] | None = None,
    metrics: str = METRICS_FILE,
    goal: str | None = None,
    attach_report: bool = False,
    reuse: bool = False,
    bypass: bool = False,
    test_jobs: int | None = None,
    test_for: words.Duration | None = None,
    retries: int = 0,
    timeout: words.Duration | None = None,
    grace: words.Duration = 30.0,
    priority: int = 0,
    max_fails: int | str | None = None,
    max_running: int | None = None,
    resume: bool = False,
    cpus: int | None = None,
    cores: int | None = None,
    gpus: float | str = 0,
    gpu_memory: int | str | None = None,
    memory: int | str | None = None,
    scratch: int | str | None = None,
    exclusive: bool = False,
    walltime: words.Duration | None = None,
    constraint: str | None = None,
    node: str | Sequence[str] | None = None,
    not_node: str | Sequence[str] | None = None,
) -> NewTask:
    """Return the request for a task, as `client.tasks.create` describes it.

    Raises:
        BadInput: an argument cannot be used.
    """
    from orchestra.files import local_machine
    from orchestra.wiring.identity import host_name

    settings, names = session.settings, session.names
    return NewTask(
        name=name,
        command=words.command(command),
        config=names.config(_config(config)),
        data=None if data is None else names.dataset(name_of(data)),
        volume=local_machine.full_path(volume or settings.volume or "."),
        account=local_machine.account(),
        host=host_name(),
        secondary={tag: names.dataset(name_of(each)) for tag, each in (secondary or {}).items()},
        queue=words.queue(queue),
        image=None if image is None else local_machine.image(os.fspath(image)),
        binds=(bind,) if isinstance(bind, str) else tuple(bind),
        env=words.variables(env),
        policy=words.policy(
            bypass=bypass,
            test_jobs=test_jobs,
            test_for=test_for,
            retries=retries,
            timeout=timeout,
            grace=grace,
            priority=priority,
            max_fails=max_fails,
            max_running=max_running,
            walltime=walltime,
            resume=resume,
        ),
        resources=words.resources(
            words.queue(queue),
            cpus=cpus,
            cores=cores,
            gpus=gpus,
            gpu_memory=gpu_memory,
            memory=memory,
            scratch=scratch,
            exclusive=exclusive,
        ),
        placement=placement_of(constraint or "", words.names(node), words.names(not_node)),
        complete_file=settings.job_complete_file_name,
        reuse=reuse,
        after=tuple(map(names.task, _after(after))),
        metrics_file=metrics,
        goal=None if goal is None else words.text("a goal", goal),
        attach_report=attach_report,
    )


def clone(session: Session, task: str, name: str | None, changes: Mapping[str, Any]) -> NewTask:
    """Return the request for a task with the settings of another one, and some changes.

    Raises:
        BadInput, NotFound: there is no such task, or a change cannot be used.
    """
    from orchestra.domain import cloning
    from orchestra.files import origin
    from orchestra.interface.new_tasks import SettingsOf

    old = session(SettingsOf(task, name))
    required = {"config": old.config, "command": old.command, "queue": old.queue.value}
    new = new_task(session, old.name, **{**required, **changes})
    given = {*changes, *(() if old.volume else ("volume",))}
    changed = cloning.changed(old, new, given)
    program = None
    if old.origin and "command" not in changes:
        program = origin.again(old.origin, os.environ)
    return replace(changed, account=new.account, host=new.host, reuse=new.reuse, origin=program)


def _after(given: TaskLike | Sequence[TaskLike]) -> tuple[str, ...]:
    found = [given] if isinstance(given, Task | int | str) else given
    return tuple(str(each.id if isinstance(each, Task) else each) for each in found)


def _config(given: str | DataSet | Task) -> str:
    if isinstance(given, Task):
        return f"task:{given.id}"
    return name_of(given)
