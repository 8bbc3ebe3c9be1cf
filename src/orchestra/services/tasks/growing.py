"""`task add`: further configs for a task, with the next numbers."""

from __future__ import annotations

import psycopg

from orchestra.domain import manifests
from orchestra.domain.caller import Caller
from orchestra.domain.errors import Refused
from orchestra.domain.input_changes import SomeJobs
from orchestra.domain.models.datasets import Manifest
from orchestra.domain.models.tasks import Task
from orchestra.domain.transitions import TaskInput
from orchestra.domain.wording import Action, words
from orchestra.interface.answers.task_inputs import Added
from orchestra.services.tasks import actions, lifecycle, relisting
from orchestra.services.tasks.updating import note
from orchestra.store.driver.database import in_transaction
from orchestra.store.tasks import config_lists, revisions, task_mutations


def add(conn: psycopg.Connection, caller: Caller, task: int, files: Manifest) -> Added:
    """Add configs to a task, with the next numbers, and run them. Files that it has already are left out.

    Its data set stays as it is: the task has a list of its own.

    Raises:
        NotFound: there is no such task.
        Refused: it belongs to somebody else, is being killed, reads the outputs of another task, or has all the files.
        BadInput: the manifest is invalid.
    """
    before = actions.own_task(conn, caller, task)
    manifests.check(files)
    if config_lists.present(conn, task).dataset is None:
        raise Refused(
            f"the configs of task {task} ({before.name}) are the outputs of another task, so no files can be added."
        )
    # Before the transaction, which must not stay idle while lists of a million files are compared.
    plan = relisting.to_add(conn, task, files)
    if not plan.found:
        raise _nothing_new(before, plan)

    def work() -> Added:
        locked = task_mutations.lock_task(conn, task)
        found = actions.own_task(conn, caller, task)
        lifecycle.checked_step(locked, TaskInput.ADD)
        relisting.check(conn, locked, plan)
        changed = relisting.changes(conn, task, plan.found)
        revision = revisions.supersede(conn, task, by=caller.name, why=str(changed))
        relisting.carry_out(conn, locked, plan)
        note(conn, task, revision, changed, by=caller.name)
        step = lifecycle.apply(conn, task, TaskInput.ADD, by=caller.name)
        return Added(found, step, changed.added, _there(plan), _differing(plan), changed.returned)

    return in_transaction(conn, work)


def _there(plan: relisting.Plan) -> SomeJobs:
    return relisting.some(plan.found, plan.there)


def _differing(plan: relisting.Plan) -> SomeJobs:
    return relisting.some(plan.found, plan.differing)


def _nothing_new(task: Task, plan: relisting.Plan) -> Refused:
    there, differing = _there(plan), _differing(plan)
    what = "this file" if there.count == 1 else f"these {there.count} files"
    return Refused(
        f"task {task.id} ({task.name}) has {what} already: {'job' if there.count == 1 else 'jobs'} {there.numbers}.",
        hint=words(Action.UPDATE_TASK(task=task.id), "   takes what has changed in them.")
        if differing
        else None,
    )
