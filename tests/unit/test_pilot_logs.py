"""Logs of jobs: their ends, and how long ones are cut."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from orchestra.domain.models.jobs import Attempt
from orchestra.pilot import logs
from orchestra.services import job_logs


def test_a_tail_is_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "job.log"
    log.write_bytes(b"0123456789")
    assert logs.tail(log, 4) == (10, b"6789")
    assert logs.tail(log, 100) == (10, b"0123456789")
    assert logs.tail(tmp_path / "missing", 4) == (None, None)


def test_what_a_job_puts_in_the_place_of_its_log_is_not_waited_for(tmp_path: Path) -> None:
    pipe, folder, loop = tmp_path / "pipe", tmp_path / "folder", tmp_path / "loop"
    os.mkfifo(pipe)
    folder.mkdir()
    loop.symlink_to(loop)
    for path in (pipe, folder, loop, Path("/dev/zero")):
        assert logs.tail(path, 4) == (None, None)
        logs.cut(path, 1)
    attempt_folder = tmp_path / "t" / ".attempts" / "job_configId_0" / "1"
    attempt_folder.mkdir(parents=True)
    attempt = cast(Attempt, SimpleNamespace(folder=str(attempt_folder)))
    (attempt_folder / "job.log").symlink_to(pipe)
    assert job_logs.open_log(attempt) is None
    (attempt_folder / "job.log").unlink()
    (attempt_folder / "job.log").write_text("a log")
    file = job_logs.open_log(attempt)
    assert file
    with file:
        assert file.read() == b"a log"


def lines(count: int) -> bytes:
    return b"".join(b"line %07d\n" % number for number in range(count))


def test_a_long_log_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_bytes(lines(10_000))
    path.chmod(0o640)
    logs.cut(path, 40_000)
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
    assert os.listdir(tmp_path) == ["job.log"]


def test_a_log_of_one_endless_line_is_cut_too(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_bytes(b"x" * 100_000)
    logs.cut(path, 10_000)
    assert 10_000 <= path.stat().st_size < 10_200


@pytest.mark.parametrize("limit", [0, 130_000, 1 << 40])
def test_a_log_within_its_limit_is_left_alone(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "job.log"
    path.write_bytes(lines(10_000))
    before = path.stat()
    logs.cut(path, limit)
    assert path.stat() == before


def test_a_log_that_cannot_be_cut_stays(tmp_path: Path) -> None:
    logs.cut(tmp_path / "missing", 10)
    path = tmp_path / "job.log"
    path.write_bytes(lines(100))
    (tmp_path / ".job.log.cut").mkdir()
    logs.cut(path, 10)
    assert path.read_bytes() == lines(100)
