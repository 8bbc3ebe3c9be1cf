"""Preparing an attempt: its inputs are checked, its folder is created, its command is rendered. Runs in I/O threads."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import PurePosixPath

from orchestra.domain.command import Template, parse
from orchestra.domain.errors import OrchestraError, VolumeError
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.work import Grant, TaskSpec
from orchestra.domain.states import Cause, Queue
from orchestra.files import config_links
from orchestra.pilot import folders, open_log
from orchestra.pilot.keeper_link import NOTE_BYTES
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.pilot.scratch import NoScratch
from orchestra.pilot.state import LocalAttempt, Note, Ready
from orchestra.runtimes import RuntimeJob, choose, container_binds
from orchestra.runtimes.environment import JobValues, environment

log = logging.getLogger(__name__)

MAX_LINKED_FILES = 16
"""Shared files of a task whose folders are bound into its container if symlinks lead there."""


@dataclass(frozen=True, slots=True)
class Unready:
    """Why an attempt cannot start. `avoid_task` says why to leave its task to other nodes for a while, if so."""

    cause: Cause
    reason: str
    avoid_task: str | None = None


Result = Ready | Unready | Exception
"""The result of a preparation; an exception is an error that was not foreseen."""


def prepare_all(
    launch: LaunchConfig, batch: Sequence[LocalAttempt], *, nice: int = 0
) -> list[Result]:
    """Prepare attempts of one task, in order; `nice` is the node's. Raises nothing."""
    with launch.io_activity.of(batch[0].key.task_id):
        return [_prepare_safely(launch, attempt, nice) for attempt in batch]


def _prepare_safely(launch: LaunchConfig, attempt: LocalAttempt, nice: int) -> Result:
    assert attempt.task
    assert attempt.grant
    try:
        return prepare(launch, attempt.task, attempt.grant, attempt.note, nice=nice)
    except Exception as error:
        # Foreseen errors have become an `Unready` already. The rest of the batch may still be ready.
        log.exception("job %s could not be prepared", attempt.key)
        return error


def prepare(
    launch: LaunchConfig, task: TaskSpec, grant: Grant, note: Note, *, nice: int = 0
) -> Ready | Unready:
    """Prepare one attempt."""
    try:
        if trouble := launch.inputs.trouble(task, grant.config, grant.let_go):
            return Unready(Cause.INPUT, trouble)
    except VolumeError as error:
        return Unready(Cause.RETURNED, f"not started: {error}", avoid_task=str(error))
    launch.io_activity.access(task.volume)
    try:
        scratch = launch.lend_scratch()
    except NoScratch as error:
        return Unready(Cause.RETURNED, f"not started: {error}")
    ready: Ready | Unready | None = None
    try:
        ready = _with_folders(launch, task, grant, replace(note, scratch=scratch), nice)
    finally:
        if not isinstance(ready, Ready):
            launch.take_back(scratch)
    return ready


def _with_folders(
    launch: LaunchConfig, task: TaskSpec, grant: Grant, note: Note, nice: int
) -> Ready | Unready:
    paths = JobPaths(PurePosixPath(task.folder), grant.key.index)
    if note.is_long and len(json.dumps(note.to_json())) > NOTE_BYTES:
        return Unready(Cause.VOLUME, f"the path of the task's folder is too long: {task.folder}")
    try:
        return _ready(launch, task, grant, note, paths, nice)
    except VolumeError as error:
        return Unready(Cause.VOLUME, str(error))
    except (OrchestraError, ValueError) as error:
        return Unready(Cause.NO_START, f"not started: {error}")


def _ready(
    launch: LaunchConfig, task: TaskSpec, grant: Grant, note: Note, paths: JobPaths, nice: int
) -> Ready | Unready:
    runtime = choose(launch.runtimes, task.image)
    if runtime is None:
        return Unready(Cause.RETURNED, f"this node cannot run the image {task.image}")
    job = replace(runtime_job(launch, task, grant, note, paths), nice=nice)
    if task.image is not None:
        limits_memory = runtime.limits_memory
        with_image = _with_image(launch, job, task, task.image, grant, limits_memory=limits_memory)
        if with_image is None:
            return Unready(Cause.RETURNED, f"the image {task.image} has just changed")
        job = with_image
    argv = runtime.argv(job)
    log = folders.open_attempt(task.volume, paths, grant.folder_number, new=grant.new_folder)
    try:
        if grant.done_attempt is None:
            folders.point_link(paths, grant.folder_number)
    except VolumeError:
        os.close(log)
        raise
    _link_config(task, grant)
    real = folders.resolved(str(job.folder), log)
    own_log = open_log.of_descriptor(log)
    return Ready(argv, runtime.environment(job), log, real, own_log, note.scratch)


def _link_config(task: TaskSpec, grant: Grant) -> None:
    config = grant.config.entry.path
    try:
        config_links.make(task.folder, grant.key.index, config)
    except OSError as error:
        # The result is found by its number as well.
        log.warning("job %s has no link named after %r: %s", grant.key, config, error)


def _with_image(
    launch: LaunchConfig,
    job: RuntimeJob,
    task: TaskSpec,
    image: str,
    grant: Grant,
    *,
    limits_memory: bool,
) -> RuntimeJob | None:
    """Return the job with its image; None if the image has changed since it was prepared."""
    prepared = launch.prepared.get(image)
    if prepared is None or not prepared.is_unchanged():
        launch.prepared.pop(image, None)
        return None
    if prepared.key and launch.cache:
        launch.cache.touch(prepared.key)
    shared = (file.path for file in task.shared_files)
    files = [grant.config.path, *islice(shared, MAX_LINKED_FILES)]
    return replace(
        job,
        binds=container_binds.with_linked(job.binds, files),
        image=prepared.image,
        memory=task.resources.memory_bytes if limits_memory else None,
    )


def runtime_job(
    launch: LaunchConfig, task: TaskSpec, grant: Grant, note: Note, paths: JobPaths
) -> RuntimeJob:
    """Return an attempt in the form that runtimes take. Accesses no file.

    Raises:
        BadInput: a path cannot be written where its tag stands in the command.
    """
    folder = paths.attempt(grant.folder_number)
    values = JobValues(
        task=task.id,
        job=grant.key.index,
        attempt=grant.key.number,
        data=task.inputs.get("DATA"),
        config=grant.config.path,
        out=str(folder),
        volume=task.volume,
        scratch=note.scratch,
        devices=note.devices or "",
        cores=task.resources.cores,
        given=task.env,
    )
    tags = {**task.inputs, "IN": grant.config.path, "OUT": str(folder)}
    job = RuntimeJob(
        command=_template(task.command).render(tags),
        folder=folder,
        gpus=tuple(note.devices.split(",")) if note.devices and task.queue is Queue.GPU else (),
        image=task.image,
        host=launch.environment,
        label=str(grant.key),
        token=str(grant.key.token),
    )
    if task.image is None:
        return replace(job, environment=environment(launch.environment, values))
    binds = container_binds.binds(
        own=(folder, *([PurePosixPath(note.scratch)] if note.scratch else ())),
        reads=(grant.config.root or grant.config.path, *(files.root for files in task.shared)),
        node=launch.binds,
        task=task.binds,
    )
    home = container_binds.home(launch.environment, binds, folder)
    values = replace(values, token=job.token)
    return replace(job, environment=environment({"HOME": home}, values), binds=binds)


@lru_cache(maxsize=64)
def _template(command: str) -> Template:
    return parse(command)
