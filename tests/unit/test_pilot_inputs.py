"""The check of inputs: changed files are found, unchanged ones are read once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestra.domain.models.datasets import FileChoice, ManifestEntry
from orchestra.domain.models.work import InputFile, Revision, SharedFiles
from orchestra.files.manifest import check_file
from orchestra.pilot.inputs import InputChecker


def registered(path: Path) -> InputFile:
    facts = path.stat()
    digest = hashlib.sha256(path.read_bytes()).digest()
    return InputFile(str(path), ManifestEntry(path.name, facts.st_size, facts.st_mtime_ns, digest))


def task(*files: InputFile, shared: Sequence[SharedFiles] = (), revision: int = 1) -> Any:
    return SimpleNamespace(id=0, key=Revision(0, revision), shared_files=files, shared=shared)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, which the test sets."""
    now = [0.0]
    monkeypatch.setattr("orchestra.pilot.inputs.time.monotonic", lambda: now[0])
    return now


def test_a_changed_config_is_named_at_once(hostile_dir: Path) -> None:
    config = hostile_dir / "config"
    config.write_text("one")
    file = registered(config)
    guard = InputChecker()
    assert guard.trouble(task(), file) is None
    config.write_text("other")
    assert str(config) in (guard.trouble(task(), file) or "")


def test_shared_files_are_checked_again_after_a_while(tmp_path: Path, clock: list[float]) -> None:
    config, data = tmp_path / "config", tmp_path / "data"
    config.write_text("c")
    data.write_text("d")
    guard, file, work = InputChecker(), registered(config), task(registered(data))
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

    def counted(entry: ManifestEntry, path: str, _report: object = None) -> str | None:
        reads.append(path)
        return check_file(entry, path)

    monkeypatch.setattr("orchestra.pilot.inputs.check_file", counted)
    guard = InputChecker()
    folder = InputFile(str(tmp_path), ManifestEntry("x", None, None, None))
    for when in (0.0, 10.0, 20.0):
        clock[0] = when
        assert guard.trouble(task(file), folder) is None
    assert reads.count(str(data)) == 1


def test_the_output_of_an_older_task_must_exist(tmp_path: Path) -> None:
    output = InputFile(str(tmp_path / "out"), ManifestEntry("out", None, None, None))
    assert InputChecker().trouble(task(), output) == f"{tmp_path / 'out'} is missing"
    (tmp_path / "out").mkdir()
    assert InputChecker().trouble(task(), output) is None


# Which checks count


@pytest.fixture
def given(tmp_path: Path, clock: list[float]) -> tuple[InputFile, Path, Any]:
    """A config, a data file, and a task that reads it."""
    config, data = tmp_path / "config", tmp_path / "data"
    config.write_text("c")
    data.write_text("d")
    return registered(config), data, task(registered(data))


def test_a_check_does_not_count_for_a_job_released_after_it(
    given: tuple[InputFile, Path, Any],
) -> None:
    config, data, work = given
    guard = InputChecker()
    assert guard.trouble(work, config, 1) is None
    data.write_text("other")
    assert guard.trouble(work, config, 1) is None
    assert "data has changed" in (guard.trouble(work, config, 2) or "")


def test_a_check_serves_all_jobs_released_before_it(
    given: tuple[InputFile, Path, Any],
) -> None:
    config, data, work = given
    guard = InputChecker()
    assert guard.trouble(work, config, 2) is None
    data.write_text("other")
    assert guard.trouble(work, config, 1) is None
    assert guard.trouble(work, config, 2) is None


def test_the_check_after_an_end_also_counts_for_the_next_start(
    given: tuple[InputFile, Path, Any],
) -> None:
    config, data, work = given
    guard = InputChecker()
    assert guard.trouble(work, config) is None
    assert guard.notes(work, [config]) == [None]
    data.write_text("other")
    changed = f"{data} has changed since it was registered: it had 1 byte, now 5"
    assert guard.notes(work, [config, config]) == [f"inputs changed while it ran: {changed}"] * 2
    assert guard.trouble(work, config) == changed


def test_a_changed_config_marks_only_its_own_job(
    given: tuple[InputFile, Path, Any], tmp_path: Path
) -> None:
    config, _, work = given
    other = tmp_path / "other"
    other.write_text("c")
    second = registered(other)
    Path(config.path).unlink()
    note = f"inputs changed while it ran: {config.path} is missing"
    assert InputChecker().notes(work, [config, second]) == [note, None]


def test_a_file_added_to_a_data_folder_is_named(tmp_path: Path, clock: list[float]) -> None:
    folder = tmp_path / "data"
    (folder / "__pycache__").mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (folder / name).write_text(name)
    (config := tmp_path / "config").write_text("c")
    entries = tuple(registered(folder / name).entry for name in ("a.csv", "b.csv"))
    files = SharedFiles(str(folder), True, entries)
    work = task(*files, shared=[files])
    (folder / "__pycache__" / "a.pyc").touch()
    for name in (".hidden", "a.csv~", "#b.csv#", "b.csv.swp"):
        (folder / name).touch()
    assert InputChecker().notes(work, [registered(config)]) == [None]
    (folder / "c.csv").touch()
    note = f"{folder} has 1 file that was not registered: c.csv"
    assert InputChecker().notes(work, [registered(config)]) == [note]
    assert InputChecker().trouble(work, registered(config)) is None
    chosen = replace(files, choice=FileChoice(exclude=("c*",)))
    assert InputChecker().notes(task(*files, shared=[chosen]), [registered(config)]) == [None]
    listed = replace(files, choice=FileChoice(listed=True))
    assert InputChecker().notes(task(*files, shared=[listed]), [registered(config)]) == [None]


def test_each_revision_of_a_task_is_checked_for_itself(given: tuple[InputFile, Path, Any]) -> None:
    config, data, old = given
    guard = InputChecker()
    assert guard.trouble(old, config) is None
    data.write_text("other")
    new = task(registered(data), revision=2)
    assert guard.trouble(new, config) is None
    assert guard.notes(old, [config]) != [None]
    assert guard.notes(new, [config]) == [None]


def test_forgotten_tasks_are_checked_again(given: tuple[InputFile, Path, Any]) -> None:
    config, data, work = given
    guard = InputChecker()
    assert guard.trouble(work, config) is None
    data.write_text("other")
    guard.keep([work.id])
    assert guard.trouble(work, config) is None
    guard.keep([])
    assert guard.trouble(work, config) is not None


def test_the_number_of_remembered_files_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only files whose times differ from what was registered are remembered; the oldest are read again."""
    monkeypatch.setattr("orchestra.pilot.inputs.MAX_VERIFIED", 3)
    guard = InputChecker()
    for n in range(20):
        config = tmp_path / f"config{n}"
        config.write_text("c")
        file = registered(config)
        os.utime(config, (1, 1))
        assert guard.trouble(task(), file) is None
    assert len(guard._verified) == 3
