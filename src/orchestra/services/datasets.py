"""Data sets: registering files, new versions of them, and taking them off the list again.

The files were looked at where they are (`files/manifest.py`); here are their names, sizes, times and checksums.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain import manifests
from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, NotFound, Refused
from orchestra.domain.human import listed
from orchestra.domain.models.datasets import DataSet, Manifest, ManifestEntry
from orchestra.domain.naming import parse_name
from orchestra.domain.nearest import nearest_name
from orchestra.domain.wording import Action, words
from orchestra.interface.answers.datasets import Removal, Update
from orchestra.services.users.rights import check_may_change
from orchestra.store import datasets as store
from orchestra.store.driver.database import in_transaction


def find(conn: psycopg.Connection, name: str) -> DataSet:
    """Give a data set by its name.

    Raises:
        BadInput: no data set can be called that.
        NotFound: there is none; says what was perhaps meant.
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
    """Give a person's data sets by name; everybody's for None."""
    return store.of_owner(conn, owner)


def files(
    conn: psycopg.Connection, dataset: DataSet, *, first: int, limit: int
) -> Sequence[ManifestEntry]:
    """Give a page of the files of a data set's newest version."""
    return store.files(conn, dataset.version_id, first=first, limit=limit)


def check_new(conn: psycopg.Connection, caller: Caller, name: str) -> None:
    """Refuse a name that a new data set of this user cannot have: asked before its files are looked at.

    Raises:
        BadInput: it is no name, or not one of the caller's own.
        AlreadyExists: it is taken.
    """
    parse_name(name, username=caller.name)
    if store.by_name(conn, name):
        raise _taken(name)


def register(conn: psycopg.Connection, caller: Caller, name: str, manifest: Manifest) -> DataSet:
    """Register files under a name.

    Raises:
        BadInput: the name is no name, or not one of the user's own; the manifest is none.
        AlreadyExists: the name is taken.
    """
    check_new(conn, caller, name)
    manifests.check(manifest)

    def work() -> DataSet:
        dataset = store.add(conn, name, caller.user.id)
        if dataset is None:
            raise _taken(name)
        store.add_version(conn, dataset, manifest)
        return find(conn, name)

    return in_transaction(conn, work)


def find_own(conn: psycopg.Connection, caller: Caller, name: str) -> DataSet:
    """Give a data set that this user may change: asked before its files are looked at again.

    Raises:
        BadInput, NotFound: there is none of that name.
        Refused: it belongs to somebody else.
    """
    found = find(conn, name)
    check_may_change(caller, found.owner, f"data set {name}")
    return found


def update(
    conn: psycopg.Connection, caller: Caller, name: str, manifest: Manifest, *, seen: int
) -> Update:
    """Make a version of what a data set's files are now; where nothing has changed, nothing is made.

    Tasks that exist keep the version that they were made with.

    Args:
        seen: `version_id` of the data set as it was when its files were looked at.

    Raises:
        NotFound: there is no such data set.
        Refused: it belongs to somebody else, or somebody else updated it meanwhile.
        BadInput: the manifest is none.
    """
    before = find_own(conn, caller, name)
    manifests.check(manifest)
    # Before the transaction: it takes seconds for a million files, and a transaction must not rest for so long.
    entries = store.all_files(conn, before.version_id)
    changes = manifests.compare(before.root, before.is_folder, entries, manifest)

    def work() -> Update:
        if not store.lock(conn, before.id):
            raise NotFound(f'there is no data set "{name}" any more.', kind="dataset", name=name)
        if not seen == before.version_id == find(conn, name).version_id:
            raise Refused(f"{name} was updated by somebody else just now.", hint="Try again.")
        if changes:
            store.add_version(conn, before.id, manifest)
        return Update(find(conn, name), changes)

    return in_transaction(conn, work)


def remove(conn: psycopg.Connection, caller: Caller, name: str) -> Removal:
    """Take a data set off the list; its files stay where they are.

    Raises:
        NotFound: there is no such data set.
        Refused: it belongs to somebody else, or a live task works with it.
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
        works = "works" if len(users) == 1 else "work"
        raise Refused(
            f"{tasks} still {works} with {dataset.name}.",
            hint="Delete it when the work is over, or kill the work first.",
        )


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(
        f'there is a data set "{name}" already.',
        hint=words(
            Action.UPDATE_DATASET(name=name), "   registers its files anew; or take another name."
        ),
        kind="dataset",
        name=name,
    )
