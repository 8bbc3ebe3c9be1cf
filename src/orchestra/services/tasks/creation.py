"""Creating a task: everything is checked before anything is written, and everything is written in one transaction.

The task's files are checked by `files/task_files.py`, on the machine of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import psycopg

from orchestra.domain import command, images
from orchestra.domain.binds import parse_bind
from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, BadInput, Refused, about
from orchestra.domain.exclusions import unserved
from orchestra.domain.goals import parse_goal
from orchestra.domain.human import count
from orchestra.domain.matchmaking import Need
from orchestra.domain.models.datasets import DataSet
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.domain.naming import check_complete_file, check_metrics_file, parse_name
from orchestra.domain.placement import placement_of
from orchestra.domain.states import TaskState
from orchestra.domain.storable import (
    LARGEST,
    check_binds,
    check_environment,
    check_volume,
    check_whole,
    storable,
)
from orchestra.domain.task_resources import with_gpu
from orchestra.domain.task_settings import check_limits
from orchestra.domain.variables import check_variable
from orchestra.domain.wording import Field, words
from orchestra.interface.answers.new_tasks import Preview
from orchestra.services.tasks import selection
from orchestra.services.tasks.sources import find_config, find_input, first_configs, source
from orchestra.store import datasets as dataset_store
from orchestra.store.cluster import events
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.nodes import queues
from orchestra.store.tasks import chains, creation, task_mutations
from orchestra.store.tasks import tasks as store

_MOST = LARGEST // 2
"""Attempts that a reused folder may already have had; as many more fit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A task that can be created: the request as it is stored, and what it refers to.

    `config` is the data set or the older task that the jobs are made of, `inputs` are the data sets by tag. `after` are
    the tasks that it waits for: those that are not DONE yet.
    """

    new: NewTask
    caller: Caller
    template: command.Template
    folder: str
    config: DataSet | Task
    inputs: Mapping[str, DataSet]
    after: tuple[Task, ...] = ()

    @property
    def to_come(self) -> bool:
        """Whether its configs are the outputs of a task that it waits for."""
        return self.gives_configs in [task.id for task in self.after]

    @property
    def gives_configs(self) -> int | None:
        """The older task whose outputs are its configs."""
        return self.config.id if isinstance(self.config, Task) else None

    @property
    def jobs(self) -> int:
        if isinstance(self.config, DataSet):
            return self.config.files
        return self.config.jobs if self.to_come else self.config.counts.done


def find_existing(conn: psycopg.Connection, caller: Caller, name: str) -> Task | None:
    """Return the task of that name, for `--if-not-exists`.

    Raises:
        BadInput: the name is invalid for a task of the caller's.
    """
    return store.by_name(conn, str(parse_name(name, username=caller.name)))


def plan(conn: psycopg.Connection, caller: Caller, new: NewTask) -> Plan:
    """Check a request, except for its files. Nothing is written.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence about what cannot be used.
    """
    new = _with_image(new)
    with about("name"):
        new = replace(new, name=str(parse_name(new.name, username=caller.name)))
        if taken := store.by_name(conn, new.name):
            raise _taken(new.name, taken)
    with about("command"):
        template = command.parse(new.command)
    with about("secondary"):
        secondary = _tags(new.secondary)
    with about("command"):
        required = command.required(with_data=new.data is not None)
        command.check(template, known=secondary, required=required)
    with about("after"):
        after = _unfinished(conn, new.after)
    with about("config"):
        config = find_config(conn, new.config, after)
    inputs = {}
    for tag, name in _sources(new, secondary).items():
        with about("data" if tag == "DATA" else "secondary"):
            inputs[tag] = find_input(conn, name)
    _check_settings(new)
    folder = f"{new.volume.rstrip('/')}/{new.name}"
    return Plan(_as_kept(new, template), caller, template, folder, config, inputs, after)


def _sources(new: NewTask, secondary: Mapping[str, str]) -> dict[str, str]:
    return {**({} if new.data is None else {"DATA": new.data}), **secondary}


def _check_settings(new: NewTask) -> None:
    with about("metrics"):
        check_metrics_file(new.metrics_file)
    check_complete_file(new.complete_file)
    with about("env"):
        for variable, value in new.env.items():
            check_variable(variable, value)
        check_environment(new.env)
    _check_numbers(new)
    with about("volume"):
        check_volume(new.volume)


def _unfinished(conn: psycopg.Connection, words: Sequence[str]) -> tuple[Task, ...]:
    found = {task.id: task for task in (selection.find(conn, word) for word in words)}
    return tuple(task for _, task in sorted(found.items()) if task.state is not TaskState.DONE)


def preview(conn: psycopg.Connection, planned: Plan, limit: int) -> Preview:
    """Return what the task would be, with the commands of its first jobs."""
    sources = tuple(source(conn, tag, dataset) for tag, dataset in planned.inputs.items())
    configs = first_configs(conn, planned.config, limit, to_come=planned.to_come)
    values = {each.tag: each.path for each in sources}
    return Preview(
        name=planned.new.name,
        queue=planned.new.queue,
        image=planned.new.image,
        folder=planned.folder,
        jobs=planned.jobs,
        command=planned.new.command,
        commands=tuple(
            planned.template.render({**values, "IN": path, "OUT": _out(planned.folder, index)})
            for index, path in enumerate(configs)
        ),
        sources=sources,
        unserved=unserved(Need.of_new(planned.new), queues.offers(conn, planned.new.queue)),
    )


def _out(folder: str, index: int) -> str:
    return str(JobPaths(PurePosixPath(folder), index).attempt(1))


def create(conn: psycopg.Connection, planned: Plan) -> Task:
    """Create the task with all its jobs.

    Raises:
        AlreadyExists: the name has been taken in the meantime.
        Refused: a data set has been deleted in the meantime.
    """
    attempts = planned.new.attempts if planned.new.reuse else 0

    def work() -> Task:
        _share(conn, planned)
        task = creation.add(
            conn,
            planned.new,
            owner=planned.caller.user.id,
            folder=planned.folder,
            config=_config_version(conn, planned),
            inputs={tag: dataset.version_id for tag, dataset in planned.inputs.items()},
            jobs=planned.jobs,
            attempts=attempts,
            configs_to_come=planned.to_come,
        )
        if task is None:
            raise _taken(planned.new.name, store.by_name(conn, planned.new.name))
        _wait(conn, planned, task)
        _announce(conn, planned, task)
        made = store.by_id(conn, task)
        assert made is not None  # it was made in this transaction
        return made

    return in_transaction(conn, work)


def _share(conn: psycopg.Connection, planned: Plan) -> None:
    every = [planned.config, *planned.inputs.values()]
    wanted = [each.id for each in every if isinstance(each, DataSet)]
    if not dataset_store.share(conn, wanted):
        raise Refused("one of the data sets has just been deleted.")
    older = planned.config
    if isinstance(older, Task) and not planned.to_come:
        task_mutations.lock_task(conn, older.id)
        again = store.by_id(conn, older.id)
        if again is None or again.counts.done != older.counts.done:
            raise Refused(
                f"task {older.id} ({older.name}) is changing at the moment.", hint="Try again."
            )


def _config_version(conn: psycopg.Connection, planned: Plan) -> int:
    if isinstance(planned.config, DataSet):
        return planned.config.version_id
    if planned.to_come:
        return creation.add_version_to_come(conn, planned.config)
    return creation.add_outputs_version(conn, planned.config)


def _wait(conn: psycopg.Connection, planned: Plan, task: int) -> None:
    for older in planned.after:
        gives = older.id == planned.gives_configs
        chains.add(conn, task, older.id, older.name, gives_configs=gives)


def _announce(conn: psycopg.Connection, planned: Plan, task: int) -> None:
    events.add_task_event(
        conn,
        task,
        before=None,
        after="REGISTERED",
        who=planned.caller.name,
        why=f"from {storable(planned.new.host)}" if planned.new.host else "over HTTP",
        jobs=planned.jobs,
    )
    channels.notify(conn, channels.CONDUCTOR)


def _with_image(new: NewTask) -> NewTask:
    """Return the request with its image and binds as they are stored."""
    if new.image is None:
        if new.binds:
            raise BadInput(
                words(Field.BIND, " is for containers, and there is no image."),
                hint=words(Field.IMAGE, " names one."),
            )
        return new
    with about("bind"):
        binds = tuple(str(parse_bind(text)) for text in new.binds)
        check_binds(binds)
    with about("image"):
        return replace(new, image=images.check(new.image), binds=binds)


def _tags(secondary: Mapping[str, str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text, dataset in secondary.items():
        tag = command.tag_name(text)
        if tag in tags:
            raise BadInput(words(Field.SECONDARY, f" names %{tag} twice."))
        tags[tag] = dataset
    return tags


def _check_numbers(new: NewTask) -> None:
    check_limits(new.queue, new.policy, new.resources)
    check_whole("the number of an attempt in the task's folder", new.attempts, least=0, most=_MOST)


def _as_kept(new: NewTask, template: command.Template) -> NewTask:
    """Return what is stored of a request."""
    with about("goal"):
        goal = None if new.goal is None else str(parse_goal(new.goal))
    where = new.placement
    return replace(
        new,
        account=storable(new.account),
        command=template.text,
        resources=with_gpu(new.queue, new.resources),
        goal=goal,
        placement=placement_of(where.constraint, where.nodes, where.not_nodes),
    )


def _taken(name: str, task: Task | None) -> AlreadyExists:
    which = f" (task {task.id}, {task.state}, {count(task.jobs, 'job')})" if task else ""
    return AlreadyExists(
        f'a task "{name}" already exists{which}.',
        hint=words(
            "Choose another name, or use ", Field.IF_NOT_EXISTS(True), " if that is intended."
        ),
        kind="task",
        name=name,
    )
