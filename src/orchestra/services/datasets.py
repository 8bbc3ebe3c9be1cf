"""Data sets: registering files, updating them to a new version, deleting them.

The files themselves are read by `files/manifest.py`; here are their names, sizes, times and checksums.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain import manifests
from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, NotFound, Refused
from orchestra.domain.human import listed
from orchestra.domain.models.datasets import DataSet, DataSetVersion, Manifest, ManifestEntry
from orchestra.domain.naming import parse_name
from orchestra.domain.nearest import nearest_name
from orchestra.domain.storable import check_page
from orchestra.domain.wording import Action, words
from orchestra.interface.answers.datasets import Removal, Update
from orchestra.services.users.rights import check_may_change
from orchestra.store import datasets as store
from orchestra.store.driver.database import in_transaction


def find(conn: psycopg.Connection, name: str) -> DataSet:
    """Return the data set with a name.

    Raises:
        BadInput: the name is invalid.
        NotFound: there is none; suggests a similar name.
    """
    parse_name(name)
    dataset = store.by_name(conn, name)
    if dataset is None:
        guess = nearest_name(name, store.names(conn))
        question = f' Did you mean "{guess}"?' if guess else ""
        raise NotFound(
            f'there is no data set "{name}".{question}',
            hint=None if guess else words(Action.LIST_ALL_DATASETS, " shows all."),
            kind="dataset",
            name=name,
        )
    return dataset


def list_datasets(conn: psycopg.Connection, owner: str | None) -> list[DataSet]:
    """Return a user's data sets by name, or everybody's for None."""
    return store.of_owner(conn, owner)


def files(
    conn: psycopg.Connection, dataset: DataSet, *, first: int, limit: int
) -> Sequence[ManifestEntry]:
    """Return a page of the files of a data set's newest version.

    Raises:
        BadInput: the page is invalid.
    """
    check_page(first=first, limit=limit)
    return store.files(conn, dataset.version_id, first=first, limit=limit)


def versions(conn: psycopg.Connection, name: str, *, limit: int) -> list[DataSetVersion]:
    """Return the newest versions of a data set, newest first.

    Raises:
        BadInput, NotFound: there is no such data set, or the limit is invalid.
    """
    check_page(limit=limit)
    return store.versions(conn, find(conn, name).id, limit=limit)


def roots_in_use(conn: psycopg.Connection, prefix: str) -> set[str]:
    """Return the roots that begin with a prefix of all versions of data sets, deleted ones that tasks use included."""
    return store.roots_in_use(conn, prefix)


def check_new(conn: psycopg.Connection, caller: Caller, name: str) -> str:
    """Return the full name of a new data set of the caller; called before its files are read.

    Raises:
        BadInput: the name is invalid, or not in the caller's namespace.
        AlreadyExists: the name is taken.
    """
    full = str(parse_name(name, username=caller.name))
    if store.by_name(conn, full):
        raise _taken(full)
    return full


def register(conn: psycopg.Connection, caller: Caller, name: str, manifest: Manifest) -> DataSet:
    """Register files under a name.

    Raises:
        BadInput: the name is invalid or not in the caller's namespace, or the manifest is invalid.
        AlreadyExists: the name is taken.
    """
    full = check_new(conn, caller, name)
    manifests.check(manifest)

    def work() -> DataSet:
        dataset = store.add(conn, full, caller.user.id)
        if dataset is None:
            raise _taken(full)
        store.add_version(conn, dataset, manifest)
        return find(conn, full)

    return in_transaction(conn, work)


def find_own(conn: psycopg.Connection, caller: Caller, name: str) -> DataSet:
    """Return a data set that the caller may change; called before its files are read again.

    Raises:
        BadInput, NotFound: there is no data set with that name.
        Refused: it belongs to somebody else.
    """
    found = find(conn, name)
    check_may_change(caller, found.owner, f"data set {name}")
    return found


def update(
    conn: psycopg.Connection, caller: Caller, name: str, manifest: Manifest, *, seen: int
) -> Update:
    """Register a data set's present files as a new version; none is made if nothing has changed.

    Existing tasks keep the version that they were created with.

    Args:
        seen: the data set's `version_id` when its files were read.

    Raises:
        NotFound: there is no such data set.
        Refused: it belongs to somebody else, or was updated by somebody else in the meantime.
        BadInput: the manifest is invalid.
    """
    before = find_own(conn, caller, name)
    manifests.check(manifest)
    # Before the transaction: it takes seconds for a million files, and a transaction must not stay idle for so long.
    entries = store.all_files(conn, before.version_id)
    changes = manifests.compare(before, entries, manifest)

    def work() -> Update:
        if not store.lock(conn, before.id):
            raise NotFound(f'there is no data set "{name}" any more.', kind="dataset", name=name)
        if not seen == before.version_id == find(conn, name).version_id:
            raise Refused(f"{name} has just been updated by somebody else.", hint="Try again.")
        if changes:
            store.add_version(conn, before.id, manifest)
        return Update(find(conn, name), changes)

    return in_transaction(conn, work)


def remove(conn: psycopg.Connection, caller: Caller, name: str) -> Removal:
    """Delete a data set; its files stay where they are.

    Raises:
        NotFound: there is no such data set.
        Refused: it belongs to somebody else, or a live task uses it.
    """
    dataset = find_own(conn, caller, name)

    def work() -> Removal:
        if not store.lock(conn, dataset.id):
            raise NotFound(f'there is no data set "{name}" any more.', kind="dataset", name=name)
        _refuse_while_used(conn, dataset)
        return Removal(dataset, store.remove(conn, dataset.id))

    return in_transaction(conn, work)


def _refuse_while_used(conn: psycopg.Connection, dataset: DataSet) -> None:
    users = store.live_users(conn, dataset.id)
    if users:
        tasks = listed([f"task {task.id} ({task.name}, {task.state})" for task in users], most=3)
        use = "uses" if len(users) == 1 else "use"
        raise Refused(
            f"{tasks} still {use} {dataset.name}.",
            hint="Delete it when they have ended, or kill them first.",
        )


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(
        f'a data set "{name}" already exists.',
        hint=words(
            Action.UPDATE_DATASET(name=name),
            "   registers its files again; or choose another name.",
        ),
        kind="dataset",
        name=name,
    )
