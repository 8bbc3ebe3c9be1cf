"""`task retry --update`: a task reads its inputs as they are now, and what is not done runs again."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from orchestra.domain import manifests
from orchestra.domain.caller import Caller
from orchestra.domain.errors import Refused
from orchestra.domain.input_changes import InputChange, InputChanges
from orchestra.domain.models.datasets import DataSet, Manifest
from orchestra.domain.models.tasks import Hold, Origin, Task
from orchestra.domain.states import HoldCause, TaskState
from orchestra.domain.transitions import TaskInput, TaskTransition
from orchestra.domain.wording import Action, words
from orchestra.interface.answers.task_inputs import ReadableInput, TaskInputs, Updated
from orchestra.services.tasks import actions, lifecycle, relisting
from orchestra.services.users.rights import may_change
from orchestra.store import datasets as dataset_store
from orchestra.store.cluster import events
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.jobs import job_mutations
from orchestra.store.tasks import config_lists, revisions, sources, task_mutations


def inputs(conn: psycopg.Connection, caller: Caller, task: int) -> TaskInputs:
    """Return what a task reads, in its newest versions, for a caller who reads it again.

    Raises:
        NotFound: there is no such task.
        Refused: it belongs to somebody else, or a data set that it reads has been deleted.
    """
    found = actions.own_task(conn, caller, task)
    config = _config(conn, found)
    datasets = {each.id: each for each in (config, *_inputs(conn, found).values()) if each}
    return TaskInputs(
        task=found,
        inputs=tuple(
            ReadableInput(each, may_change(caller, each.owner)) for each in datasets.values()
        ),
        more=relisting.added_alone(conn, task),
        fixed_configs=config is None,
    )


def update(
    conn: psycopg.Connection,
    caller: Caller,
    task: int,
    *,
    more: Manifest | None = None,
    origin: Origin | None = None,
    every: bool = False,
    bypass: bool = False,
) -> Updated:
    """Let a task read the newest versions of its data sets, and retry what is not done, or with `every` all.

    Jobs that are alive keep the revision that they were started with. If nothing has changed, an ended task stays as it
    is, and the changes in the answer are empty.

    Args:
        more: the configs that were added to the task alone, as they are now; None leaves them as they are.
        origin: where its program comes from now.
        bypass: skip the test.

    Raises:
        NotFound, Refused: it cannot be retried, or a data set that it reads has been deleted.
        BadInput: the manifest is invalid.
    """
    before = actions.own_task(conn, caller, task)
    if more is not None and more.entries:
        manifests.check(more)
    newest = _config(conn, before)
    # Before the transaction, which must not stay idle while lists of a million files are compared.
    plan = relisting.to_update(conn, task, newest.version_id, more) if newest else None

    def work() -> Updated:
        locked = task_mutations.lock_task(conn, task)
        found = actions.own_task(conn, caller, task)
        datasets = _inputs(conn, found)
        _share(conn, newest, datasets)
        changed = _changes(conn, found, datasets, plan, origin)
        given = _given(found, changed, every=every)
        if given is None:
            return Updated(found, TaskTransition(found.state, again=True), found.revision, changed)
        lifecycle.checked_step(locked, given)
        if plan is not None:
            relisting.check(conn, locked, plan)
        revision = revisions.supersede(conn, task, by=caller.name, why=str(changed))
        _revise(conn, locked, changed, datasets, plan, origin)
        note(conn, task, revision, changed, by=caller.name)
        hold = _resume(conn, locked, found, by=caller.name) if found.state.is_live else None
        step = lifecycle.apply(conn, task, given, by=caller.name, bypass=bypass)
        after = actions.own_task(conn, caller, task)
        if given is TaskInput.RETRY_ALL:
            again = after.jobs - len(config_lists.removed(conn, task))
        else:
            again = after.active_jobs - after.counts.done
        return Updated(found, step, revision, changed, again, hold)

    return in_transaction(conn, work)


def _config(conn: psycopg.Connection, task: Task) -> DataSet | None:
    """Return the newest version of a task's config data set; None if its configs are an older task's outputs."""
    dataset = config_lists.present(conn, task.id).dataset
    if dataset is None:
        return None
    return _newest(conn, task, dataset, sources.config(conn, task.id).dataset)


def _inputs(conn: psycopg.Connection, task: Task) -> dict[str, DataSet]:
    """Return the newest version of the data set of each tag."""
    names = {each.tag: each.dataset for each in sources.inputs(conn, task.id)}
    return {
        each.tag: _newest(conn, task, each.dataset, names[each.tag])
        for each in config_lists.input_versions(conn, task.id)
    }


def _newest(conn: psycopg.Connection, task: Task, dataset: int, name: str | None) -> DataSet:
    found = dataset_store.by_id(conn, dataset)
    if found is None:
        raise Refused(
            f"data set {name} of task {task.id} ({task.name}) has been deleted, so there is no newer version of it.",
            hint=words(Action.RETRY_TASK(task=task.id), "   runs its jobs with the files as they were registered."),
        )  # fmt: skip
    return found


def _share(conn: psycopg.Connection, config: DataSet | None, inputs: dict[str, DataSet]) -> None:
    """Keep the data sets as they were found until the transaction ends."""
    known = {each.id: each.version_id for each in (*inputs.values(), *([config] if config else []))}
    there = dataset_store.share(conn, known)
    if not there or any(
        (now := dataset_store.by_id(conn, each)) is None or now.version_id != version
        for each, version in known.items()
    ):
        raise Refused("one of the data sets is being changed at the moment.", hint="Try again.")


def _changes(
    conn: psycopg.Connection,
    task: Task,
    datasets: dict[str, DataSet],
    plan: relisting.Plan | None,
    origin: Origin | None,
) -> InputChanges:
    only_files = {each.tag: each.only_file for each in sources.inputs(conn, task.id)}
    newer = tuple(
        InputChange(
            each.tag,
            datasets[each.tag].name,
            each.number,
            datasets[each.tag].version,
            only_files[each.tag],
        )
        for each in config_lists.input_versions(conn, task.id)
        if each.number != datasets[each.tag].version
    )
    found = InputChanges() if plan is None else relisting.changes(conn, task.id, plan.found)
    return replace(found, inputs=newer, program=origin is not None and origin != task.origin)


def _given(task: Task, changed: InputChanges, *, every: bool) -> TaskInput | None:
    """Return the input that a task takes; None if nothing has changed in what an ended task reads."""
    if task.state.is_live and task.state is not TaskState.KILL:
        _check_live(task, changed, every=every)
        return TaskInput.UPDATE
    if not changed:
        return None
    if every:
        return TaskInput.RETRY_ALL
    grows = bool(changed.added or changed.returned)
    return TaskInput.ADD if grows and task.state is TaskState.DONE else TaskInput.UPDATE


def _check_live(task: Task, changed: InputChanges, *, every: bool) -> None:
    if every:
        raise Refused(
            f"task {task.id} ({task.name}) is {task.state}, and its done jobs can run again only when it has ended.",
            hint="Kill it first, or leave its done jobs as they are.",
        )
    if not changed:
        raise Refused(
            f"the inputs of task {task.id} ({task.name}) are as registered, and it is {task.state}, so there is "
            "nothing to retry.",
            hint=words(Action.RELEASE_TASK(task=task.id), "   starts its jobs again.") if task.hold else None,
        )  # fmt: skip


def _revise(
    conn: psycopg.Connection,
    task: task_mutations.LockedTask,
    changed: InputChanges,
    datasets: dict[str, DataSet],
    plan: relisting.Plan | None,
    origin: Origin | None,
) -> None:
    """Let a locked task read its inputs as they are now; its former revision is kept already."""
    for each in changed.inputs:
        config_lists.use_input(conn, task.id, each.tag, datasets[each.tag].version_id)
    if origin is not None:
        config_lists.use_origin(conn, task.id, origin)
    if plan is not None:
        relisting.carry_out(conn, task, plan)


def note(
    conn: psycopg.Connection, task: int, revision: int, changed: InputChanges, *, by: str
) -> None:
    """Record the event of a new revision, and let pilots return what they have claimed ahead with the former one."""
    channels.notify(conn, channels.NODE)
    events.add_task_event(
        conn, task, before=None, after=f"revision {revision}", who=by, why=str(changed), kind="revision"
    )  # fmt: skip


def _resume(
    conn: psycopg.Connection, locked: task_mutations.LockedTask, task: Task, *, by: str
) -> Hold | None:
    """Let what has failed in a live task begin anew, and release it; a hold by a person stays, and is returned."""
    hold = task.hold
    if hold is not None and hold.cause is not HoldCause.PERSON:
        lifecycle.apply(conn, task.id, TaskInput.RELEASE, by=by, why="its inputs were taken anew")
        hold = None
    config_lists.restart_failed(conn, task.id)
    if locked.state is TaskState.TESTING:
        job_mutations.replace_test_jobs(conn, task.id, locked.test_jobs)
        lifecycle.readmit_test_jobs(conn, locked, by=by)
    return hold
