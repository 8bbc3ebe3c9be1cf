"""A task's configs as they are now: planned before a transaction, since there may be a million, and stored in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import psycopg

from orchestra.domain import config_lists
from orchestra.domain.config_lists import UNCHANGED, ConfigFile, Rejoined
from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.input_changes import NO_JOBS, SHOWN, InputChanges, SomeJobs
from orchestra.domain.models.datasets import Manifest
from orchestra.domain.storable import LARGEST
from orchestra.store import datasets as dataset_store
from orchestra.store.tasks import config_lists as store
from orchestra.store.tasks.task_mutations import LockedTask

_OF_CALLER = -1
"""The version of files that are registered by the transaction itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The configs that a task is to read, and what changes: based on a version of its data set, and on `files`.

    Of the files to be added, the task has those of the jobs `there` already, some with `differing` contents.
    """

    present: store.PresentList
    base: int
    found: Rejoined = UNCHANGED
    files: Manifest | None = None
    there: tuple[int, ...] = ()
    differing: tuple[int, ...] = ()


def to_update(conn: psycopg.Connection, task: int, newest: int, more: Manifest | None) -> Plan:
    """Plan the version `newest` of a task's data set, and `more`: the configs that were added to the task alone.

    Without `more` these stay as they are registered.
    """
    present = store.present(conn, task)
    if more is None and newest == present.base:
        return Plan(present, newest)
    listed, gone = store.of_version(conn, present.version), store.removed(conn, task)
    has_own = present.version != present.base
    base = store.of_version(conn, present.base) if has_own else listed
    new = base if newest == present.base else store.of_version(conn, newest)
    own = _files(more) if more is not None else _added_alone(listed, base, gone)
    known = {config.path for config in new}
    extra = [config for config in own if config.path not in known]
    moved = (base[0].root, new[0].root) if base[0].root != new[0].root else None
    return Plan(present, newest, config_lists.rejoin(listed, gone, [*new, *extra], moved), more)


def to_add(conn: psycopg.Connection, task: int, files: Manifest) -> Plan:
    """Plan a task's configs and further files. Those that it has already stay as they are registered."""
    present = store.present(conn, task)
    listed, gone = store.of_version(conn, present.version), store.removed(conn, task)
    kept = {each.path: number for number, each in enumerate(listed) if number not in gone}
    given = _files(files)
    there = {kept[each.path]: each for each in given if each.path in kept}
    new = [each for each in given if each.path not in kept]
    return Plan(
        present,
        present.base,
        config_lists.rejoin(listed, gone, [*(listed[number] for number in kept.values()), *new]),
        files,
        there=tuple(sorted(there)),
        differing=tuple(n for n in sorted(there) if there[n].sha256 != listed[n].sha256),
    )


def added_alone(conn: psycopg.Connection, task: int) -> tuple[str, ...]:
    """Return the paths of the configs that were added to a task alone, and not to its data set."""
    present = store.present(conn, task)
    if present.version == present.base:
        return ()
    listed, base = store.of_version(conn, present.version), store.of_version(conn, present.base)
    return tuple(config.path for config in _added_alone(listed, base, frozenset()))


def _added_alone(
    listed: Sequence[ConfigFile], base: Iterable[ConfigFile], gone: frozenset[int]
) -> list[ConfigFile]:
    of_base = {config.path for config in base}
    return [
        config
        for number, config in enumerate(listed)
        if config.path not in of_base and number not in gone
    ]


def _files(manifest: Manifest) -> list[ConfigFile]:
    root = manifest.root if manifest.is_folder else manifest.root.rpartition("/")[0]
    return [
        ConfigFile(f"{root}/{entry.path}", entry.sha256, (_OF_CALLER, place), root)
        for place, entry in enumerate(manifest.entries)
    ]


def check(conn: psycopg.Connection, task: LockedTask, plan: Plan) -> None:
    """Refuse a plan that no longer fits, or that would change the jobs of a task whose outputs are waited for.

    Raises:
        Refused: the task is being changed by somebody else, or another one waits for its outputs.
        BadInput: it would have too many jobs.
    """
    if store.present(conn, task.id) != plan.present:
        raise Refused(
            f"task {task.id} ({task.name}) is being changed at the moment.", hint="Try again."
        )
    found = plan.found
    if not (found.added or found.removed or found.returned):
        return
    if len(found.configs) > LARGEST:
        raise BadInput(f"a task has up to {LARGEST:,} jobs.")
    if waiting := store.waits_for_outputs(conn, task.id):
        number, name = waiting
        raise Refused(
            f"task {number} ({name}) waits for the outputs of task {task.id} ({task.name}), one for each of its "
            "configs, so none can be added or removed.",
            hint=f"Delete task {number} first, and create it again afterwards.",
        )


def carry_out(conn: psycopg.Connection, task: LockedTask, plan: Plan) -> None:
    """Let a locked task read the configs of a plan; jobs come and go with them. Its revision is a new one."""
    found = plan.found
    if not found:
        return
    store.use_list(conn, task.id, _store(conn, plan))
    if found.added:
        store.add_jobs(conn, task.id, found.added[0], len(found.added))
    if found.returned:
        store.return_jobs(conn, task.id, found.returned)
    if found.removed:
        store.remove_jobs(conn, task.id, found.removed)


def _store(conn: psycopg.Connection, plan: Plan) -> int:
    """Store the list, and return its version: that of the data set if the list is the same."""
    configs = plan.found.configs
    if config_lists.is_whole(configs, plan.base):
        return plan.base
    registered = None
    if plan.files is not None:
        registered = dataset_store.add_version(conn, None, plan.files)
        configs = tuple(
            replace(each, place=(registered, each.place[1]))
            if each.place[0] == _OF_CALLER
            else each
            for each in configs
        )
    version = store.add_list(conn, config_lists.layout(configs), configs, based_on=plan.base)
    if registered is not None:
        dataset_store.remove_version(conn, registered)  # the list has its files
    return version


def changes(conn: psycopg.Connection, task: int, found: Rejoined) -> InputChanges:
    """Return what has changed in a task's configs."""
    return InputChanges(
        configs_changed=some(found, found.changed),
        added=some(found, found.added),
        removed=some(found, found.removed),
        returned=some(found, found.returned),
        stale=some(found, store.done_ones(conn, task, found.changed)),
    )


def some(found: Rejoined, numbers: Sequence[int]) -> SomeJobs:
    """Return jobs by their numbers, with some of their configs' paths below the folder of all."""
    if not numbers:
        return NO_JOBS
    folder = found.folder.rstrip("/")
    first = (
        (number, found.configs[number].path.removeprefix(f"{folder}/"))
        for number in numbers[:SHOWN]
    )
    return SomeJobs(len(numbers), tuple(first))
