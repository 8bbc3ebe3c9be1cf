"""Scanning files for a data set, and checking them again before a job starts."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestra.domain.errors import BadInput
from orchestra.domain.models.datasets import ManifestEntry
from orchestra.services import manifest
from orchestra.services.manifest import check_file, scan, unregistered

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
    assert (found.root, found.is_folder, found.hidden) == (str(folder), True, 0)
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
    assert "is a link to a folder that it is in itself" in refusal(folder)


def test_hidden_files_are_left_out_and_counted(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git/config").touch()
    (folder / ".nfs0001").touch()
    (folder / "a").touch()
    found = scan(folder)
    assert ([entry.path for entry in found.entries], found.hidden) == (["a"], 2)


def test_what_is_not_there_or_has_no_files_is_refused(folder: Path) -> None:
    assert refusal(folder / "gone") == f"there is no file or folder {folder}/gone."
    assert refusal(folder) == f"the folder {folder} has no files."
    (folder / ".hidden").touch()
    with pytest.raises(BadInput) as caught:
        scan(folder)
    assert caught.value.hint == "It has 1 hidden one, left out."


def test_what_is_no_file_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert refusal(folder) == f"{folder}/pipe is neither a file nor a folder."
    assert refusal(folder / "pipe") == f"{folder}/pipe is neither a file nor a folder."
    (folder / "pipe").unlink()
    (folder / "broken").symlink_to("nowhere")
    assert refusal(folder) == f"{folder}/broken is a link to nothing."


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
    assert "is no valid UTF-8 text" in refusal(folder)
    assert repr(name.partition(b"/")[0])[2:-1] in refusal(folder)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x1b[31m", "a\x7f", "a\u2028b", "a\x85b"])
def test_names_with_control_characters_are_refused(folder: Path, name: str) -> None:
    (folder / name).touch()
    message = refusal(folder)
    assert message.startswith("the name ")
    assert repr(name)[1:-1] in message
    assert message.endswith(" has a line break or another control character.")
    assert message.isprintable()
    assert refusal(folder / name) == message


def test_unusual_letters_are_fine(folder: Path) -> None:
    odd = ["%IN", "-n", "\\", "a b", "\u00a0", "漢", "😀"]
    for name in odd:
        (folder / name).touch()
    assert sorted(names(folder)) == sorted(odd)


def test_a_file_that_changes_while_it_is_read_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "a"
    path.write_text("first")
    digest = manifest._digest

    def and_grow(*arguments: Any) -> tuple[bytes, int, bytes | None]:
        result = digest(*arguments)
        path.write_text("first and more")
        return result

    monkeypatch.setattr(manifest, "_digest", and_grow)
    assert refusal(folder) == f"{path} changed while it was read: 5 B before, 14 B after."


def test_progress_counts_files_and_bytes(folder: Path) -> None:
    for number in range(200):
        (folder / f"f{number}").write_text("12345")
    heard: list[tuple[int, int, int]] = []
    threads: set[str] = set()

    def progress(done: int, total: int, read: int) -> None:
        heard.append((done, total, read))
        threads.add(threading.current_thread().name)

    scan(folder, progress)
    assert heard[-1] == (200, 200, 1000)
    assert heard == sorted(heard)
    assert threads == {threading.current_thread().name}


def test_a_large_file_is_told_in_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_BLOCK", 10)
    monkeypatch.setattr(manifest, "_REPORT", 30)
    (folder / "large").write_bytes(b"x" * 100)
    heard: list[tuple[int, int, int]] = []
    scan(folder, lambda *said: heard.append(said))
    assert heard == [(0, 1, 30), (0, 1, 60), (0, 1, 90), (1, 1, 100)]


def test_what_progress_raises_ends_the_scan(folder: Path) -> None:
    for number in range(1000):
        (folder / f"f{number}").touch()

    def interrupted(done: int, total: int, read: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(folder, interrupted)
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("checksums")]
    for thread in ours:
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_ctrl_c_ends_a_scan_that_hangs(folder: Path) -> None:
    (folder / "a").touch()
    script = """
import sys, threading
from orchestra.services import manifest
def hang(*_):
    print("hangs", flush=True)
    threading.Event().wait()
manifest._read = hang
manifest.scan(sys.argv[1])
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert errors.strip().endswith("KeyboardInterrupt")
    assert process.returncode != 0


# Checking again


@pytest.fixture
def registered(folder: Path) -> tuple[ManifestEntry, Path]:
    path = folder / "a.json"
    path.write_text("12345")
    return scan(path).entries[0], path


def test_a_file_as_it_was_is_fine(registered: tuple[ManifestEntry, Path]) -> None:
    entry, path = registered
    assert check_file(entry, str(path)) is None


def test_the_checksum_is_taken_only_where_the_time_differs(
    registered: tuple[ManifestEntry, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, path = registered
    os.utime(path, ns=(0, 0))
    assert check_file(entry, str(path)) is None
    monkeypatch.setattr(manifest, "_read", None)
    with pytest.raises(TypeError):
        check_file(entry, str(path))
    os.utime(path, ns=(0, entry.mtime_ns or 0))
    assert check_file(entry, str(path)) is None


def test_a_changed_or_missing_file_is_told(registered: tuple[ManifestEntry, Path]) -> None:
    entry, path = registered
    path.write_text("54321")
    os.utime(path, ns=(0, 0))
    changed = f"{path} has changed since it was registered"
    assert check_file(entry, str(path)) == f"{changed}: the checksum differs"
    path.write_text("1")
    assert check_file(entry, str(path)) == f"{changed}: it had 5 bytes, now 1"
    path.unlink()
    assert check_file(entry, str(path)) == f"{path} is missing"
    path.mkdir()
    assert check_file(entry, str(path)) == f"{path} is no regular file any more"


def test_a_folder_has_to_be_there(folder: Path) -> None:
    output = ManifestEntry("job_configId_0", None, None, None)
    assert check_file(output, str(folder)) is None
    assert check_file(output, str(folder / "gone")) == f"{folder}/gone is missing"


def test_what_tasks_have_written_is_left_out(folder: Path) -> None:
    (folder / "a.json").write_text("1")
    for task in ("user.ana.t", "below/user.ana.u"):
        attempt = folder / task / ".attempts/job_configId_0/1"
        attempt.mkdir(parents=True)
        (attempt / "job.log").touch()
        (folder / task / "job_configId_0").symlink_to(attempt)
    found = scan(folder)
    assert [entry.path for entry in found.entries] == ["a.json"]
    assert found.outputs == ("below/user.ana.u", "user.ana.t")
    assert unregistered(str(folder), found.entries) == []
    # Named, it is what is meant.
    assert [entry.path for entry in scan(folder / "user.ana.t").entries] == [
        "job_configId_0/job.log"
    ]


def test_a_folder_of_outputs_alone_says_so(folder: Path) -> None:
    (folder / "user.ana.t/.attempts").mkdir(parents=True)
    with pytest.raises(BadInput, match="has no files") as caught:
        scan(folder)
    assert caught.value.hint == (
        "What tasks have written is left out: user.ana.t. To register it, name that folder."
    )
