"""Logs that a server reads for others: nothing that may be somebody else's file, and no volume that hangs."""

from __future__ import annotations

import os
import pwd
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestra.domain.models.logs import FoundPart, WantedPart
from orchestra.files import job_logs
from orchestra.files.served_logs import ServedLogs
from orchestra.pilot.log_parts import read_part
from support.ordinary import Ordinary

ME = pwd.getpwuid(os.geteuid()).pw_name
SECRET = b"correct horse"


@pytest.fixture
def folder(hostile_dir: Path) -> Path:
    made = hostile_dir / "volume" / "user.ana.t" / ".attempts" / "job_configId_0" / "1"
    made.mkdir(parents=True)
    (made / "job.log").write_bytes(b"0123456789")
    return made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


def served(folder: Path, account: str = ME, start: int = 0, end: bytes | None = None) -> object:
    """What the server, with the folder above the volume as its root, and a pilot read of a log."""
    wanted = WantedPart(str(folder), start, end)
    found = ServedLogs([folder.parents[4]]).read(account, wanted)
    if account == ME:
        assert read_part(wanted, None) == found or found is None
    return found


@pytest.mark.parametrize(
    ("start", "data"), [(0, b"0123456789"), (7, b"789"), (10, b""), (99, b""), (-4, b"6789"), (-99, b"0123456789")]
)  # fmt: skip
def test_a_part_of_a_log(folder: Path, start: int, data: bytes) -> None:
    assert served(folder, start=start) == FoundPart(10, data)


def test_a_log_that_was_replaced_after_its_end(folder: Path) -> None:
    assert served(folder, end=b"789")
    assert served(folder, end=b"987") is None


def test_only_below_the_named_folders(folder: Path, tmp_path: Path) -> None:
    wanted = WantedPart(str(folder), 0)
    for roots in ([], [tmp_path / "elsewhere"], [folder.parents[3].with_name("vol")]):
        assert ServedLogs(roots).read(ME, wanted) is None
    assert ServedLogs([Path("/"), folder.parents[3]]).read(ME, wanted)
    outside = WantedPart(f"{folder.parents[4]}/../x/t/.attempts/j/1", 0)
    assert ServedLogs([folder.parents[4]]).read(ME, outside) is None


def symlink(log: Path, secret: Path) -> None:
    log.symlink_to(secret)


def hard_link(log: Path, secret: Path) -> None:
    os.link(secret, log)


def pipe(log: Path, _: Path) -> None:
    os.mkfifo(log)


def folder_of_that_name(log: Path, _: Path) -> None:
    log.mkdir()


@pytest.mark.parametrize("put", [symlink, hard_link, pipe, folder_of_that_name])
def test_what_is_not_a_log_is_refused(
    folder: Path, secret: Path, put: Callable[[Path, Path], None]
) -> None:
    log = folder / "job.log"
    log.unlink()
    put(log, secret)
    assert served(folder) is None
    assert read_part(WantedPart(str(folder), 0), None) is None


@pytest.mark.parametrize("up", [0, 1, 2, 3, 4])
def test_no_folder_on_the_way_may_be_a_symlink(folder: Path, up: int) -> None:
    moved = [folder, *folder.parents][up]
    moved.rename(moved.with_name("elsewhere"))
    moved.symlink_to("elsewhere")
    assert served(folder) is None
    found = read_part(WantedPart(str(folder), 0), None)
    assert (found is None) == (up < 4)  # a pilot follows a symlink to the volume


@pytest.mark.needs("root")
def test_a_file_of_another_account_is_refused(folder: Path, ordinary: Ordinary) -> None:
    other = pwd.getpwuid(ordinary.uid).pw_name
    assert served(folder, other) is None
    os.chown(folder / "job.log", ordinary.uid, ordinary.gid)
    assert served(folder) is None
    assert served(folder, other) is None
    os.chown(folder, ordinary.uid, ordinary.gid)
    assert served(folder, other)
    assert served(folder, str(ordinary.uid))
    assert served(folder, "no-such-account") is None


def test_a_volume_that_hangs_delays_few(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, begun = threading.Event(), threading.Semaphore(0)
    read = job_logs.read_own_part

    def hang(*args: object, **options: object) -> FoundPart | None:
        begun.release()
        answers.wait(60)
        return read(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(job_logs, "read_own_part", hang)
    logs, wanted = ServedLogs([folder.parents[4]], patience=0.05), WantedPart(str(folder), 0)
    assert [logs.read(ME, wanted) for _ in range(6)] == [None] * 6
    assert [begun.acquire(timeout=5) for _ in range(4)] == [True] * 4
    assert not begun.acquire(blocking=False)
    answers.set()
    monkeypatch.setattr(job_logs, "read_own_part", read)
    waiting = threading.Event()
    while not logs.read(ME, wanted):
        waiting.wait(0.01)
