"""Creating a task together with its data sets, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg

from orchestra.domain import manifests
from orchestra.domain.caller import Caller
from orchestra.domain.models.datasets import DataSet, Taken
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.runs import Files
from orchestra.interface.answers.runs import Run, RunInput, RunPlan
from orchestra.services import names
from orchestra.services.tasks import creation
from orchestra.store import datasets as store
from orchestra.store.driver.database import in_transaction


def plan(
    conn: psycopg.Connection, caller: Caller, new: NewTask, files: Sequence[Files], commands: int
) -> RunPlan:
    """Return what a run would be: it is made, and undone.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence about what cannot be used.
    """
    with conn.transaction(force_rollback=True):
        inputs = tuple(_taken(conn, caller, each) for each in files)
        planned = creation.plan(conn, caller, _with(new, inputs))
        return RunPlan(creation.preview(conn, planned, commands), inputs)


def create(conn: psycopg.Connection, caller: Caller, new: NewTask, files: Sequence[Files]) -> Run:
    """Register files and create a task that uses them.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence about what cannot be used.
    """

    def work() -> Run:
        inputs = tuple(_taken(conn, caller, each) for each in files)
        planned = creation.plan(conn, caller, _with(new, inputs))
        preview = creation.preview(conn, planned, 1)
        return Run(creation.create(conn, planned), RunPlan(preview, inputs))

    return in_transaction(conn, work)


def _with(new: NewTask, inputs: Sequence[RunInput]) -> NewTask:
    named = {each.tag: each.dataset.name for each in inputs}
    config, data = named.pop("IN", new.config), named.pop("DATA", new.data)
    return replace(new, config=config, data=data, secondary={**new.secondary, **named})


def _taken(conn: psycopg.Connection, caller: Caller, files: Files) -> RunInput:
    """Find the data set for files, or make it."""
    manifests.check(files.manifest)
    alike = _alike(conn, caller, files)
    changes = [_changes(conn, dataset, files) for dataset in alike]
    for dataset, change in zip(alike, changes, strict=True):
        if not change:
            return RunInput(files.tag, dataset, Taken.AS_IT_WAS)
    for dataset, change in zip(alike, changes, strict=True):
        if _is_another_list(change, files) or not store.lock(conn, dataset.id):
            continue
        return _new_version(conn, dataset.name, files)
    return RunInput(files.tag, _new(conn, caller, files), Taken.NEW)


def _alike(conn: psycopg.Connection, caller: Caller, files: Files) -> list[DataSet]:
    """Return the caller's data sets of the same folder, with files chosen alike; that of the wished name first."""
    now = files.manifest
    found = [
        each
        for each in store.of_root(conn, caller.user.id, now.root, now.source)
        if (each.is_folder, each.choice) == (now.is_folder, now.choice)
    ]
    return sorted(found, key=lambda each: (each.name != files.name, each.id))


def _is_another_list(change: manifests.Changes, files: Files) -> bool:
    """Whether files that were named one by one are not the same ones."""
    return files.manifest.choice.listed and bool(change.added or change.removed)


def _changes(conn: psycopg.Connection, dataset: DataSet, files: Files) -> manifests.Changes:
    entries = store.all_files(conn, dataset.version_id)
    return manifests.compare(dataset, entries, files.manifest)


def _new_version(conn: psycopg.Connection, name: str, files: Files) -> RunInput:
    """Add a version to a data set that is locked; another run may have done so a moment before."""
    dataset = _by_name(conn, name)
    if not _changes(conn, dataset, files):
        return RunInput(files.tag, dataset, Taken.AS_IT_WAS)
    live = tuple(task.id for task in store.live_users(conn, dataset.id))
    store.add_version(conn, dataset.id, files.manifest)
    return RunInput(files.tag, _by_name(conn, name), Taken.NEW_VERSION, live)


def _new(conn: psycopg.Connection, caller: Caller, files: Files) -> DataSet:
    name = names.free(conn, caller, files.name, ("dataset",))
    while (dataset := store.add(conn, name, caller.user.id)) is None:
        name = names.free(conn, caller, files.name, ("dataset",))  # it was taken in between
    store.add_version(conn, dataset, files.manifest)
    return _by_name(conn, name)


def _by_name(conn: psycopg.Connection, name: str) -> DataSet:
    found = store.by_name(conn, name)
    assert found is not None  # it is locked, or was made in this transaction
    return found
