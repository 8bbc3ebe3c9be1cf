"""Scanning files for a data set, and checking them again before a job starts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from orchestra.command_words import hint_of
from orchestra.domain.errors import BadInput
from orchestra.domain.models.datasets import ManifestEntry
from orchestra.files import listing
from orchestra.files.manifest import scan

HOSTILE = "a'; echo $(x) é"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / HOSTILE
    path.mkdir()
    return path


def names(folder: Path) -> list[str]:
    return [entry.path for entry in scan(folder).entries]


def refusal(path: Path | str) -> str:
    with pytest.raises(BadInput) as caught:
        scan(path)
    return str(caught.value)


def test_a_folder_gives_its_files_in_natural_order(folder: Path) -> None:
    for name in ("job.10", "job.2", "job.1", "sub/b", "sub/a", HOSTILE, "job.2b"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    found = scan(folder)
    assert (found.root, found.is_folder, found.skipped) == (str(folder), True, ())
    assert [entry.path for entry in found.entries] == [
        HOSTILE, "job.1", "job.2", "job.2b", "job.10", "sub/a", "sub/b",
    ]  # fmt: skip
    assert found.bytes == sum(len(entry.path.encode()) for entry in found.entries)


def test_each_file_has_size_time_and_checksum(folder: Path) -> None:
    content = os.urandom(5_000_000)
    (folder / "x").write_bytes(content)
    (folder / "empty").touch()
    os.utime(folder / "x", ns=(1, 1_700_000_000_123_456_789))
    empty, x = scan(folder).entries
    written = (folder / "x").stat().st_mtime_ns
    assert x == ManifestEntry("x", 5_000_000, written, hashlib.sha256(content).digest())
    assert (empty.size, empty.sha256) == (0, hashlib.sha256().digest())


def test_one_file_is_a_data_set_of_its_own(folder: Path) -> None:
    (folder / ".digits.npz").write_text("x")
    found = scan(folder / ".digits.npz")
    assert (found.root, found.is_folder) == (str(folder / ".digits.npz"), False)
    assert [entry.path for entry in found.entries] == [".digits.npz"]


def test_relative_paths_are_made_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "real/sub").mkdir(parents=True)
    (folder / "real/a").touch()
    (folder / "link").symlink_to("real/sub")
    monkeypatch.chdir(folder)
    assert scan("./real/").root == str(folder / "real")
    assert scan("real/a").root == str(folder / "real/a")
    assert scan("link/..").root == str(folder / "real")


def test_links_are_followed(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real/a").write_text("a")
    (folder / "x").mkdir()
    (folder / "x/file").symlink_to(folder / "real/a")
    (folder / "x/folder").symlink_to(folder / "real")
    assert names(folder / "x") == ["file", "folder/a"]


@pytest.mark.parametrize("target", ["..", ".", "../x"])
def test_a_loop_of_links_is_refused(folder: Path, target: str) -> None:
    (folder / "x").mkdir()
    (folder / "x/a").touch()
    (folder / "x/loop").symlink_to(target)
    assert "is a symlink to one of its own parents" in refusal(folder)


def test_hidden_files_are_skipped_and_named(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/config").touch()
    (folder / ".nfs0001").touch()
    (folder / "a").touch()
    found = scan(folder)
    assert ([entry.path for entry in found.entries], found.skipped) == (
        ["a"],
        (".git/", ".nfs0001"),
    )


def test_what_is_not_there_or_has_no_files_is_refused(folder: Path) -> None:
    assert refusal(folder / "gone") == f"there is no file or folder {folder}/gone."
    assert refusal(folder) == f"the folder {folder} has no files."
    (folder / ".hidden").touch()
    with pytest.raises(BadInput) as caught:
        scan(folder)
    assert hint_of(caught.value) == "Skipped .hidden; --all-files registers such files, too."


def test_special_files_are_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert refusal(folder) == f"{folder}/pipe is neither a file nor a folder."
    assert refusal(folder / "pipe") == f"{folder}/pipe is neither a file nor a folder."
    (folder / "pipe").unlink()
    (folder / "broken").symlink_to("nowhere")
    assert refusal(folder) == f"{folder}/broken is a dangling symlink."


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "secret").touch(mode=0)
    assert refusal(folder) == f"{folder}/secret cannot be read: Permission denied."


def test_an_error_of_the_system_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a").touch()

    def broken(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", broken)
    assert refusal(folder) == f"{folder}/a cannot be read: Permission denied."


@pytest.mark.parametrize("name", [b"caf\xe9", b"sub\xff/a"])
def test_names_that_are_no_text_are_refused(folder: Path, name: bytes) -> None:
    path = folder / os.fsdecode(name)
    try:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    assert "is not valid UTF-8 text" in refusal(folder)


def test_a_name_decoded_with_another_encoding_is_refused() -> None:
    name = "\udcc3\udca9"  # of a Python that takes names for ASCII
    with pytest.raises(BadInput, match="is UTF-8, but this Python reads names as") as caught:
        listing.check_path_text(name)
    assert "PYTHONUTF8=1" in str(caught.value.hint)


def test_what_tasks_have_written_is_left_out_by_way_of_a_link_and_however_deep(
    folder: Path, tmp_path: Path
) -> None:
    for task in (tmp_path / "volume/user.ana.t", folder / "x/y/user.ana.u"):
        (task / ".attempts/job_configId_0/1").mkdir(parents=True)
        (task / "job_configId_0").symlink_to(".attempts/job_configId_0/1")
        (task / ".attempts/job_configId_0/1/o").write_text("of a job")
    (folder / "x/results").symlink_to(tmp_path / "volume")
    (folder / "a.json").write_text("{}")
    found = scan(folder)
    assert set(found.outputs) == {"x/results/user.ana.t", "x/y/user.ana.u"}
    assert not [entry for entry in found.entries if "user.ana" in entry.path]
