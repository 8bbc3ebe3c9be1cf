"""Whether a file system answers, as far as that can be seen without one that hangs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orchestra.domain.errors import VolumeError
from orchestra.files import fs_health
from support.waiting import wait_until


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What asks, to be written; nothing is known of any path."""
    path = tmp_path / "stat"
    monkeypatch.setattr(fs_health, "_ASKS", (str(path),))
    monkeypatch.setattr(fs_health, "_known", {})
    return path


def write(program: Path, script: str) -> None:
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_any_result_is_an_answer(hostile_dir: Path) -> None:
    fs_health.check(hostile_dir, hostile_dir / "nothing", "/proc/1/root/nothing")


def test_a_path_that_does_not_answer_is_named(program: Path) -> None:
    write(program, f'echo $$ >> {program}.pids; [ "$4" = /good ] || exec sleep 600')
    with pytest.raises(VolumeError, match=r"^/bad does not answer\.$"):
        fs_health.check("/good", "/bad", patience=0.5)
    pids = [int(pid) for pid in Path(f"{program}.pids").read_text().split()]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_an_answer_is_good_for_a_moment_and_silence_is_waited_for_no_second_time(
    program: Path,
) -> None:
    write(program, f"echo >> {program}.asked")
    for _ in range(3):
        fs_health.check("/good")
    assert Path(f"{program}.asked").read_text() == "\n"
    write(program, "exec sleep 600")
    assert fs_health.first_unresponsive(["/bad"], patience=1.0) == "/bad"
    began = time.monotonic()
    assert fs_health.first_unresponsive(["/bad"]) == "/bad"
    assert time.monotonic() - began < 5
    write(program, "exit 1")
    fs_health.check("/bad", patience=5.0)


def test_other_code_may_wait_for_all_children(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(program, "exit 0")

    def nobody(pid: int, options: int) -> tuple[int, int]:
        raise ChildProcessError

    monkeypatch.setattr(os, "waitpid", nobody)
    fs_health.check("/good")


def test_without_a_program_to_ask_with_nothing_is_refused(program: Path) -> None:
    fs_health.check("/anything")
