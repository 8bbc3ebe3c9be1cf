"""Logs of jobs: reading their tails and cutting long ones."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from orchestra.domain.models.jobs import Attempt
from orchestra.files import job_logs
from orchestra.pilot import folders, logs, open_log
from orchestra.pilot.open_log import OpenLog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "t" / ".attempts" / "job_configId_0" / "1"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def own(folder: Path) -> OpenLog:
    """The log as it was opened for its job, which has printed 0123456789."""
    descriptor = folders._open_log(str(folder / "job.log"), new=False)
    found = open_log.of_descriptor(descriptor)
    os.write(descriptor, b"0123456789")
    os.close(descriptor)
    assert found
    return found


def test_a_tail_is_the_end_of_a_log(folder: Path) -> None:
    assert logs.tail(str(folder), 4) == (None, None)
    (folder / "job.log").write_bytes(b"0123456789")
    assert logs.tail(str(folder), 4) == (10, b"6789")
    assert logs.tail(str(folder), 100) == (10, b"0123456789")


def nothing(log: Path) -> None:
    pass


def remove(log: Path) -> None:
    log.unlink()


def remove_folder(log: Path) -> None:
    shutil.rmtree(log.parent)


def recreate_folder(log: Path) -> None:
    shutil.rmtree(log.parent)
    log.parent.mkdir()


def rename_folder(log: Path) -> None:
    log.parent.rename(log.parent.with_name("elsewhere"))


def write_another(log: Path) -> None:
    log.unlink()
    log.write_bytes(b"something else")


def rotate(log: Path) -> None:
    log.rename(log.with_name("job.log.1"))
    log.write_bytes(b"something else")


def put_link(log: Path) -> None:
    log.unlink()
    log.symlink_to("/etc/passwd")


def put_pipe(log: Path) -> None:
    log.unlink()
    os.mkfifo(log)


def put_folder(log: Path) -> None:
    log.unlink()
    log.mkdir()


CHANGES = [
    nothing, remove, remove_folder, recreate_folder, rename_folder, write_another, rotate, put_link, put_pipe,
    put_folder,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_the_output_of_a_job_is_read_whatever_it_does_to_its_folder(
    folder: Path, own: OpenLog, change: Callable[[Path], None]
) -> None:
    change(folder / "job.log")
    assert logs.tail(str(folder), 4, own) == (10, b"6789")


def test_the_log_that_a_job_writes_itself_is_read_if_it_prints_nothing(
    folder: Path, own: OpenLog
) -> None:
    os.truncate(folder / "job.log", 0)
    assert logs.tail(str(folder), 4, own) == (0, b"")
    write_another(folder / "job.log")
    assert logs.tail(str(folder), 4, own) == (14, b"else")


@pytest.mark.parametrize("change", [write_another, rotate, put_link, put_pipe, put_folder, remove])
def test_a_file_that_replaces_the_log_is_not_cut(
    folder: Path, own: OpenLog, change: Callable[[Path], None]
) -> None:
    change(folder / "job.log")
    before = sorted(os.listdir(folder))
    logs.cut(str(folder), 4, own)
    assert sorted(os.listdir(folder)) == before
    assert not (folder / "job.log").is_file() or (folder / "job.log").stat().st_size != 4


def test_a_file_that_replaced_an_earlier_log_is_renamed(folder: Path) -> None:
    for put in (put_link, put_pipe, put_folder):
        log = folder / "job.log"
        log.touch()
        put(log)
        os.close(folders._open_log(str(log), new=False))
        assert stat.S_ISREG(log.lstat().st_mode)
        log.unlink()
    assert len(list(folder.glob("job.log.*"))) == 3


def test_logs_leave_descriptors_for_other_work(folder: Path) -> None:
    (folder / "job.log").touch()
    script = (
        "import os, resource; from orchestra.pilot import open_log\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        f"first = os.open({str(folder / 'job.log')!r}, os.O_RDONLY)\n"
        "held = [open_log.of_descriptor(first) for _ in range(100)]\n"
        "print(sum(log is not None for log in held), os.dup(first) < 40)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert 20 < int(told[0]) < 32
    assert told[1] == "True"


def test_a_pipe_that_replaces_the_log_does_not_block(folder: Path) -> None:
    attempt = cast(Attempt, SimpleNamespace(folder=str(folder)))
    log = folder / "job.log"
    for put in (put_link, put_pipe, put_folder):
        log.touch()
        put(log)
        assert logs.tail(str(folder), 4) == (None, None)
        logs.cut(str(folder), 1)
        assert job_logs.open_log(attempt) is None
        log.rename(folder / put.__name__)
    log.write_text("a log")
    file = job_logs.open_log(attempt)
    assert file
    with file:
        assert file.read() == b"a log"


def lines(count: int) -> bytes:
    return b"".join(b"line %07d\n" % number for number in range(count))


def test_a_long_log_keeps_its_beginning_and_its_end(folder: Path) -> None:
    path = folder / "job.log"
    path.write_bytes(lines(10_000))
    path.chmod(0o640)
    logs.cut(str(folder), 40_000)
    found = path.read_bytes()
    head, words, end = found.partition(
        b"\n[orchestra: 90 kB of this log of 130 kB left out here]\n\n"
    )
    assert words
    assert lines(10_000).startswith(head)
    assert lines(10_000).endswith(end)
    assert 9_900 < len(head) <= 10_000
    assert 29_900 < len(end) <= 30_000
    assert head.endswith(b"\n")
    assert end.startswith(b"line ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(folder) == ["job.log"]


def test_a_log_of_one_long_line_is_cut(folder: Path) -> None:
    path = folder / "job.log"
    path.write_bytes(b"x" * 100_000)
    logs.cut(str(folder), 10_000)
    assert 10_000 <= path.stat().st_size < 10_200


@pytest.mark.parametrize("limit", [0, 130_000, 1 << 40])
def test_a_log_within_its_limit_is_left_alone(folder: Path, limit: int) -> None:
    path = folder / "job.log"
    path.write_bytes(lines(10_000))
    before = path.stat()
    logs.cut(str(folder), limit)
    assert path.stat() == before


def test_a_log_that_cannot_be_cut_stays(folder: Path) -> None:
    logs.cut(str(folder), 10)
    path = folder / "job.log"
    path.write_bytes(lines(100))
    (folder / ".job.log.cut").mkdir()
    logs.cut(str(folder), 10)
    assert path.read_bytes() == lines(100)
