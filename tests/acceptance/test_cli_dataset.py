"""`maestro dataset` and `castor`, as people type them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from support.maestro import Maestro

pytestmark = pytest.mark.both_ways

HOSTILE = ["plain.json", "a b.json", "it's.json", '"q".json', "$(touch x).json", "é; rm.json"]

DATASET = {
    "name": str,
    "owner": str,
    "version": int,
    "path": str,
    "source": type(None),
    "is_folder": bool,
    "files": int,
    "bytes": int,
    "created_at": str,
    "updated_at": str,
    "include": list,
    "exclude": list,
    "all_files": bool,
    "listed": bool,
}


@pytest.fixture
def grid(maestro: Maestro) -> Path:
    """A folder of files with hostile names."""
    folder = maestro.folder / "a'; echo $(x) é"
    folder.mkdir()
    for name in HOSTILE:
        (folder / name).write_text(name)
    return folder


def test_a_folder_is_registered_and_shown(maestro: Maestro, grid: Path) -> None:
    said = maestro("dataset", "create", "-n", "user.ana.grid", "-p", grid.name)
    assert said.out == "user.ana.grid: 6 files, 61 B, checksums taken\n"
    shown = maestro.line("dataset show user.ana.grid")
    assert str(grid) in shown.out
    assert all(name in shown.out for name in HOSTILE)


def test_lists_and_shows_keep_their_json(maestro: Maestro, grid: Path) -> None:
    maestro("dataset", "create", "-n", "user.ana.grid", "-p", grid)
    (listed,) = maestro.line("dataset list -o json").json
    assert {key: type(value) for key, value in listed.items()} == DATASET
    assert datetime.fromisoformat(listed["created_at"]).utcoffset() is not None
    shown = maestro.line("dataset show user.ana.grid -o json").json
    assert {**listed, "manifest": shown["manifest"]} == shown
    assert sorted(file["path"] for file in shown["manifest"]) == sorted(HOSTILE)
    assert {key: type(value) for key, value in shown["manifest"][0].items()} == {
        "path": str,
        "bytes": int,
        "modified_ns": int,
        "sha256": str,
    }


def test_the_originals_words_work(maestro: Maestro, grid: Path) -> None:
    maestro("castor", "registry", "-d", "user.ana.grid", "-p", grid)
    assert "user.ana.grid" in maestro.line("castor list -u ana").out
    said = maestro.line("castor unregistry -d user.ana.grid")
    assert "user.ana.grid is deleted" in said.out
    assert f"Its files stay in {grid}" in said.err
    assert all((grid / name).exists() for name in HOSTILE)
    assert maestro.line("dataset list -a -o json").json == []


def test_an_update_says_what_changed(maestro: Maestro, grid: Path) -> None:
    maestro("dataset", "create", "-n", "user.ana.grid", "-p", grid)
    same = maestro.line("dataset update user.ana.grid")
    assert "no changes, still version 1" in same.out
    (grid / "plain.json").write_text("changed")
    (grid / "a b.json").unlink()
    (grid / "new.json").write_text("new")
    said = maestro.line("dataset update user.ana.grid")
    assert "version 2: 1 added, 1 removed, 1 changed" in said.out
    assert "Existing tasks keep the version" in said.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "-n", "user.bob.grid", "-p", "."], 'belongs to user "bob"'),
        (["create", "-n", "ana.grid", "-p", "."], "user.<username>.<name>"),
        (["create", "-n", "user.ana.none", "-p", "nothing"], "there is no file or folder"),
        (["create", "-n", "user.ana.grid"], "-p/--path is missing"),
        (["create", "-n", "user.ana.none", "-p", "empty"], "has no files"),
        (["show", "user.ana.grud"], 'Did you mean "user.ana.grid"?'),
        (["delete"], "which data set?"),
        (["list", "-u", "zoe"], 'no user "zoe"'),
        (["show", "user.ana.grid", "--limit", "0"], "--limit at least 1"),
    ],
)
def test_mistakes_are_one_sentence(
    maestro: Maestro, grid: Path, arguments: list[str], says: str
) -> None:
    (maestro.folder / "empty").mkdir()
    maestro("dataset", "create", "-n", "user.ana.grid", "-p", grid)
    assert says in maestro.refused("dataset", *arguments)
    assert len(maestro.line("dataset list -a -o json").json) == 1


def test_a_name_that_is_taken_is_refused(maestro: Maestro, grid: Path) -> None:
    maestro("dataset", "create", "-n", "user.ana.grid", "-p", grid)
    said = maestro.refused("dataset", "create", "-n", "user.ana.grid", "-p", grid)
    assert 'a data set "user.ana.grid" already exists' in said
    assert "dataset update" in said


def test_a_long_manifest_is_shown_in_pages(maestro: Maestro) -> None:
    folder = maestro.folder / "many"
    folder.mkdir()
    for number in range(25):
        (folder / f"job.{number}.json").write_text("{}")
    maestro("dataset", "create", "user.ana.many", "-p", folder)
    said = maestro.line("dataset show user.ana.many")
    assert "job.19.json" in said.out
    assert "job.20.json" not in said.out
    assert "5 more: maestro dataset show user.ana.many --from 20" in said.err
    assert "job.24.json" in maestro.line("dataset show user.ana.many --from 20").out
    assert len(maestro.line("dataset show user.ana.many -o json").json["manifest"]) == 25


def test_hidden_files_are_left_out_and_said(maestro: Maestro, grid: Path) -> None:
    (grid / ".nfs0001").write_text("x")
    said = maestro("dataset", "create", "-n", "user.ana.grid", "-p", grid)
    assert "6 files" in said.out
    assert "Skipped .nfs0001; --all-files registers such files, too" in said.err
    maestro("dataset", "update", "grid", "--exclude", "*.json", "--all-files")
    shown = maestro.line("dataset show grid")
    assert "chosen     --exclude '*.json' --all-files" in shown.out
    assert (".nfs0001" in shown.out, ".json" in shown.out.replace("'*.json'", "")) == (True, False)


def test_a_list_of_files_keeps_to_itself(maestro: Maestro, grid: Path) -> None:
    first, second, third = sorted(grid.iterdir())[:3]
    assert ": 2 files" in maestro("dataset", "create", "-n", "some", second, first).out
    assert "no changes" in maestro.line("dataset update some").out
    second.unlink()
    said = maestro.line("dataset update some")
    assert said.out.startswith("user.ana.some: version 2: 1 removed; 1 file")
    assert f"No longer there, and no longer listed: {second.name}" in said.err
    assert "2 files" in maestro("dataset", "update", "some", "-p", first, third).out
    assert "is named twice" in maestro.refused("dataset", "create", "other", "-p", first, first)
