"""Data sets: versions, who may change them, and what prevents their deletion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, BadInput, NotFound, Refused
from orchestra.domain.manifests import Changes
from orchestra.domain.models.datasets import FileChoice
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.work import Revision
from orchestra.files.manifest import scan, unregistered
from orchestra.services import datasets
from orchestra.services.tasks import creation
from orchestra.store import datasets as store
from orchestra.store.work import task_specs
from support.people import as_admin, caller
from support.registering import register, update

HOSTILE = ["job.2", "job.10", "a b", "it's", '"q"', "$(touch x)", "é; rm -rf", "%IN", "100%"]


@pytest.fixture
def bob(conn: psycopg.Connection, ana: Caller) -> Caller:
    return caller(conn, "bob")


@pytest.fixture
def folder(hostile_dir: Path) -> Path:
    for name in HOSTILE:
        (hostile_dir / name).write_text(name)
    return hostile_dir


def manifest(conn: psycopg.Connection, name: str) -> list[str]:
    dataset = datasets.find(conn, name)
    return [entry.path for entry in datasets.files(conn, dataset, first=0, limit=100)]


def test_a_manifest_is_read_as_it_was_written(
    conn: psycopg.Connection, ana: Caller, folder: Path
) -> None:
    made = register(conn, ana, "user.ana.grid", folder)
    assert (made.files, made.version, made.root, made.is_folder) == (9, 1, str(folder), True)
    assert made.bytes == sum(len(name.encode()) for name in HOSTILE)
    paths = manifest(conn, "user.ana.grid")
    assert sorted(paths) == sorted(HOSTILE)
    assert paths.index("job.2") < paths.index("job.10")
    second = datasets.files(conn, made, first=1, limit=1)
    assert [entry.path for entry in second] == paths[1:2]


def test_one_file_is_a_data_set_too(conn: psycopg.Connection, ana: Caller, folder: Path) -> None:
    made = register(conn, ana, "user.ana.one", folder / "it's")
    assert (made.files, made.is_folder, made.root) == (1, False, str(folder / "it's"))


def test_a_name_has_the_users_prefix_and_is_unique(
    conn: psycopg.Connection, ana: Caller, bob: Caller, folder: Path
) -> None:
    register(conn, ana, "user.ana.grid", folder)
    with pytest.raises(AlreadyExists, match="already"):
        register(conn, ana, "user.ana.grid", folder)
    with pytest.raises(BadInput, match='belongs to user "ana"'):
        register(conn, bob, "user.ana.other", folder)
    assert store.add(conn, "user.ana.grid", ana.user.id) is None


def test_nothing_is_half_written(
    conn: psycopg.Connection, ana: Caller, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "add_version", stops)
    with pytest.raises(KeyboardInterrupt):
        register(conn, ana, "user.ana.grid", folder)
    assert datasets.list_datasets(conn, None) == []


def test_an_update_counts_what_changed(conn: psycopg.Connection, ana: Caller, folder: Path) -> None:
    register(conn, ana, "user.ana.grid", folder)
    same = update(conn, ana, "user.ana.grid")
    assert not same.changes
    assert same.dataset.version == 1
    (folder / "a b").write_text("other")
    (folder / "it's").unlink()
    (folder / "new").write_text("new")
    told = update(conn, ana, "user.ana.grid")
    assert told.changes == Changes(1, 1, 1, moved=False)
    assert (told.dataset.version, told.dataset.files) == (2, 9)
    assert "new" in manifest(conn, "user.ana.grid")
    assert len(list(store.all_files(conn, told.dataset.version_id))) == 9


def test_the_same_files_at_another_place_are_a_new_version(
    conn: psycopg.Connection, ana: Caller, folder: Path, tmp_path: Path
) -> None:
    register(conn, ana, "user.ana.grid", folder)
    moved = folder.rename(tmp_path / "moved")
    told = update(conn, ana, "user.ana.grid", moved)
    assert told.changes == Changes(0, 0, 0, moved=True)
    assert (told.dataset.version, told.dataset.root) == (2, str(moved))


def test_a_version_keeps_how_its_files_were_chosen(
    conn: psycopg.Connection, ana: Caller, folder: Path
) -> None:
    some = scan(folder, choice=FileChoice(include=("job.*",), exclude=("sub",)))
    made = datasets.register(conn, ana, "some", some)
    assert (made.name, made.choice) == ("user.ana.some", some.choice)
    told = datasets.update(conn, ana, made.name, some, seen=made.version_id)
    assert not told.changes
    others = replace(some, choice=FileChoice(exclude=("*.yaml",)))
    told = datasets.update(conn, ana, made.name, others, seen=made.version_id)
    assert told.changes == Changes(0, 0, 0, moved=False, chosen_otherwise=True)
    assert (told.dataset.version, told.dataset.choice) == (2, others.choice)
    with pytest.raises(BadInput, match="has braces"):
        datasets.register(conn, ana, "other", replace(some, choice=FileChoice(("{a,b}",))))


def test_an_update_of_a_version_that_was_not_read_is_refused(
    conn: psycopg.Connection, ana: Caller, folder: Path
) -> None:
    before = register(conn, ana, "user.ana.grid", folder)
    looked_at = scan(folder)
    (folder / "new").write_text("new")
    update(conn, ana, "user.ana.grid")
    with pytest.raises(Refused, match="updated by somebody else"):
        datasets.update(conn, ana, "user.ana.grid", looked_at, seen=before.version_id)
    assert datasets.find(conn, "user.ana.grid").version == 2


def test_an_invalid_manifest_changes_nothing(
    conn: psycopg.Connection, ana: Caller, folder: Path
) -> None:
    wrong = replace(scan(folder), root="data")
    with pytest.raises(BadInput, match="not an absolute path"):
        datasets.register(conn, ana, "user.ana.grid", wrong)
    before = register(conn, ana, "user.ana.grid", folder)
    with pytest.raises(BadInput, match="not an absolute path"):
        datasets.update(conn, ana, "user.ana.grid", wrong, seen=before.version_id)
    assert datasets.list_datasets(conn, None) == [before]


def test_a_data_set_of_another_user_is_unchanged(
    conn: psycopg.Connection, ana: Caller, bob: Caller, folder: Path
) -> None:
    register(conn, ana, "user.ana.grid", folder)
    with pytest.raises(Refused, match='belongs to user "ana"'):
        datasets.remove(conn, bob, "user.ana.grid")
    with pytest.raises(Refused, match='belongs to user "ana"'):
        update(conn, bob, "user.ana.grid")
    assert datasets.remove(conn, as_admin(conn, "root"), "user.ana.grid").forgotten


def test_lists_are_by_owner_and_name(
    conn: psycopg.Connection, ana: Caller, bob: Caller, folder: Path
) -> None:
    for name in ("user.ana.b", "user.ana.a"):
        register(conn, ana, name, folder)
    register(conn, bob, "user.bob.c", folder)
    assert [d.name for d in datasets.list_datasets(conn, "ana")] == ["user.ana.a", "user.ana.b"]
    assert len(datasets.list_datasets(conn, None)) == 3


def test_what_is_not_there_is_perhaps_misspelt(
    conn: psycopg.Connection, ana: Caller, folder: Path
) -> None:
    register(conn, ana, "user.ana.grid", folder)
    with pytest.raises(NotFound, match=r'Did you mean "user\.ana\.grid"\?'):
        datasets.find(conn, "user.ana.gird")


def _task(conn: psycopg.Connection, ana: Caller, folder: Path) -> int:
    new = NewTask(
        "user.ana.t", "x %DATA %IN %OUT", "user.ana.grid", "user.ana.grid", str(folder), "ana", "h"
    )
    return creation.create(conn, creation.plan(conn, ana, new)).id


def test_pilots_know_how_the_files_of_a_task_were_chosen(
    conn: psycopg.Connection, ana: Caller, folder: Path
) -> None:
    some = scan(folder, choice=FileChoice(exclude=("job.2",)))
    datasets.register(conn, ana, "grid", some)
    revision = Revision(_task(conn, ana, folder), 1)
    [shared] = task_specs.read(conn, [revision], {})[revision].shared
    assert shared.choice == some.choice
    assert unregistered(shared.root, shared.entries, shared.choice) == []


def test_a_live_task_keeps_its_data_set_and_an_ended_one_its_manifest(
    conn: psycopg.Connection, ana: Caller, folder: Path
) -> None:
    made = register(conn, ana, "user.ana.grid", folder)
    task = _task(conn, ana, folder)
    (folder / "new").write_text("new")
    update(conn, ana, "user.ana.grid")
    with pytest.raises(Refused, match="still uses"):  # an older version counts, too
        datasets.remove(conn, ana, "user.ana.grid")
    conn.execute("update task set state = 'KILL' where id = %s", [task])
    conn.execute("update task set state = 'KILLED', ended_at = now() where id = %s", [task])
    assert not datasets.remove(conn, ana, "user.ana.grid").forgotten
    assert datasets.list_datasets(conn, None) == []
    assert len(list(store.all_files(conn, made.version_id))) == 9
    register(conn, ana, "user.ana.grid", folder)  # the name is available again


def test_an_unused_data_set_leaves_nothing_behind(
    conn: psycopg.Connection, ana: Caller, folder: Path
) -> None:
    register(conn, ana, "user.ana.grid", folder)
    (folder / "new").write_text("new")
    update(conn, ana, "user.ana.grid")
    assert datasets.remove(conn, ana, "user.ana.grid").forgotten
    for table in ("dataset", "dataset_version", "dataset_file"):
        assert conn.execute(f"select count(*) from {table}").fetchone() == (0,)
