"""Data sets: registering files, new versions of them, and taking them off the list again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from orchestra.domain.errors import AlreadyExists, NotFound, Refused
from orchestra.domain.human import listed
from orchestra.domain.models.datasets import DataSet, ManifestEntry
from orchestra.domain.models.people import User
from orchestra.domain.naming import parse_name
from orchestra.domain.nearest import nearest_name
from orchestra.files import manifest
from orchestra.services.rights import check_may_change
from orchestra.store import datasets as store
from orchestra.store.database import in_transaction


@dataclass(frozen=True, slots=True)
class Registered:
    """A new data set. Left out were `hidden` files and folders with a dot in front, and `outputs`, folders of tasks.

    `texts` is how many of the files have their text in the database, where not all of the small ones have.
    """

    dataset: DataSet
    hidden: int
    outputs: tuple[str, ...] = ()
    texts: int | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """What a new version of a data set changed; no version was made where `changed_at_all` is false."""

    dataset: DataSet
    added: int
    removed: int
    changed: int
    moved: bool = False
    hidden: int = 0
    outputs: tuple[str, ...] = ()
    texts: int | None = None

    @property
    def changed_at_all(self) -> bool:
        return bool(self.added or self.removed or self.changed or self.moved)


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of a data set: `forgotten` altogether, or kept for the tasks that refer to it."""

    dataset: DataSet
    forgotten: bool


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
            hint=None if guess else "maestro dataset list -a shows all.",
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


def create(
    conn: psycopg.Connection,
    user: User,
    name: str,
    path: Path,
    *,
    progress: manifest.Progress | None = None,
) -> Registered:
    """Register a file or the files of a folder under a name; sizes, times and checksums are taken now.

    Raises:
        BadInput: the name is no name, or not one of the user's own; the files cannot be registered.
        AlreadyExists: the name is taken.
    """
    check_new(conn, user, name)
    scanned = manifest.scan(path, progress=progress)

    def work() -> Registered:
        dataset = store.add(conn, name, user.id)
        if dataset is None:
            raise _taken(name)
        _add_version(conn, dataset, scanned)
        return Registered(find(conn, name), scanned.hidden, scanned.outputs, _texts(scanned))

    return in_transaction(conn, work)


def check_new(conn: psycopg.Connection, user: User, name: str) -> None:
    """Refuse a name that a new data set of this user cannot have.

    Raises:
        BadInput: it is no name, or not one of the user's own.
        AlreadyExists: it is taken.
    """
    parse_name(name, username=user.name)
    if store.by_name(conn, name):
        raise _taken(name)


def update(
    conn: psycopg.Connection,
    user: User,
    name: str,
    path: Path | None = None,
    *,
    progress: manifest.Progress | None = None,
) -> Update:
    """Look at a data set's files again, or at another place, and make a version of what is there now.

    Tasks that exist keep the version that they were made with. Where nothing has changed, nothing is made.

    Raises:
        NotFound: there is no such data set.
        Refused: it belongs to somebody else, or changes just now.
        BadInput: the files cannot be registered.
    """
    before = find(conn, name)
    check_may_change(user, before.owner, f"data set {name}")
    scanned = manifest.scan(path or Path(before.root), progress=progress)
    # Before the transaction: it takes seconds for a million files, and a transaction must not rest for so long.
    told = _compare(before, list(store.all_files(conn, before.version_id)), scanned)

    def work() -> Update:
        if not store.lock(conn, before.id):
            raise NotFound(f'there is no data set "{name}" any more.')
        if find(conn, name).version_id != before.version_id:
            raise Refused(f"{name} was updated by somebody else just now.", hint="Try again.")
        if told.changed_at_all:
            _add_version(conn, before.id, scanned)
        return replace(told, dataset=find(conn, name))

    return in_transaction(conn, work)


def remove(conn: psycopg.Connection, user: User, name: str) -> Removal:
    """Take a data set off the list; its files stay where they are.

    Raises:
        NotFound: there is no such data set.
        Refused: it belongs to somebody else, or a live task works with it.
    """
    dataset = find(conn, name)
    check_may_change(user, dataset.owner, f"data set {name}")

    def work() -> Removal:
        if not store.lock(conn, dataset.id):
            raise NotFound(f'there is no data set "{name}" any more.')
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


def _add_version(conn: psycopg.Connection, dataset: int, scanned: manifest.Manifest) -> int:
    return store.add_version(
        conn,
        dataset,
        root=scanned.root,
        is_folder=scanned.is_folder,
        entries=scanned.entries,
        texts=scanned.texts,
    )


def _compare(before: DataSet, entries: Sequence[ManifestEntry], now: manifest.Manifest) -> Update:
    old = {entry.path: entry.sha256 for entry in entries}
    new = {entry.path: entry.sha256 for entry in now.entries}
    both = old.keys() & new.keys()
    return Update(
        before,
        added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()),
        changed=sum(old[path] != new[path] for path in both),
        moved=(before.root, before.is_folder) != (now.root, now.is_folder),
        hidden=now.hidden,
        outputs=now.outputs,
        texts=_texts(now),
    )


def _texts(scanned: manifest.Manifest) -> int | None:
    return len(scanned.texts) if scanned.texts_cut else None


def _taken(name: str) -> AlreadyExists:
    return AlreadyExists(
        f'there is a data set "{name}" already.',
        hint=f"maestro dataset update -n {name}   registers its files anew; or take another name.",
    )
