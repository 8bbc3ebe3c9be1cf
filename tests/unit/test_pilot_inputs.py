"""The guard of inputs: what changed is found, what did not is not read again and again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestra.domain.models.datasets import ManifestEntry
from orchestra.domain.models.work import InputFile
from orchestra.pilot.inputs import InputGuard
from orchestra.services.manifest import check_file


def registered(path: Path) -> InputFile:
    facts = path.stat()
    digest = hashlib.sha256(path.read_bytes()).digest()
    return InputFile(str(path), ManifestEntry(path.name, facts.st_size, facts.st_mtime_ns, digest))


def task(*files: InputFile) -> Any:
    return SimpleNamespace(id=0, shared_files=files)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, to be set."""
    now = [0.0]
    monkeypatch.setattr("orchestra.pilot.inputs.time.monotonic", lambda: now[0])
    return now


def test_a_changed_config_is_named_at_once(hostile_dir: Path) -> None:
    config = hostile_dir / "config"
    config.write_text("one")
    file = registered(config)
    guard = InputGuard()
    assert guard.trouble(task(), file) is None
    config.write_text("other")
    assert str(config) in (guard.trouble(task(), file) or "")


def test_shared_files_are_looked_at_again_after_a_while(tmp_path: Path, clock: list[float]) -> None:
    config, data = tmp_path / "config", tmp_path / "data"
    config.write_text("c")
    data.write_text("d")
    guard, file, work = InputGuard(), registered(config), task(registered(data))
    assert guard.trouble(work, file) is None
    data.unlink()
    clock[0] = 4.9
    assert guard.trouble(work, file) is None
    clock[0] = 5.1
    assert guard.trouble(work, file) == f"{data} is missing"


def test_a_file_that_was_only_touched_is_read_once(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.write_text("d")
    file = registered(data)
    os.utime(data, ns=(1, 1))
    reads: list[str] = []

    def counted(entry: ManifestEntry, path: str) -> str | None:
        reads.append(path)
        return check_file(entry, path)

    monkeypatch.setattr("orchestra.pilot.inputs.check_file", counted)
    guard = InputGuard()
    folder = InputFile(str(tmp_path), ManifestEntry("x", None, None, None))
    for when in (0.0, 10.0, 20.0):
        clock[0] = when
        assert guard.trouble(task(file), folder) is None
    assert reads.count(str(data)) == 1


def test_an_older_tasks_output_has_to_be_there(tmp_path: Path) -> None:
    output = InputFile(str(tmp_path / "out"), ManifestEntry("out", None, None, None))
    assert InputGuard().trouble(task(), output) == f"{tmp_path / 'out'} is missing"
    (tmp_path / "out").mkdir()
    assert InputGuard().trouble(task(), output) is None
