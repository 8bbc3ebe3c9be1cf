"""Reading metrics and configs: what is broken, missing or strange is a note on its row; a volume that hangs is left."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pytest

from orchestra.domain.documents import BOUNDS
from orchestra.domain.errors import VolumeError
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.results import Result, Sources
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobStatus
from orchestra.domain.usage import NOT_MEASURED, Usage
from orchestra.files import document_files, fs_health, job_files, results
from orchestra.files.thread_map import thread_map


@dataclass
class _Task:
    folder: str
    metrics_file: str = "metrics.json"


@dataclass
class Volume:
    """A task's folder with as many jobs as were written."""

    root: Path
    jobs: list[Result]
    name: str = "metrics.json"

    def job(self, metrics: str | bytes | None, config: str = "{}", ending: str = "json") -> None:
        number = len(self.jobs)
        folder = self.root / f"task/.attempts/job_configId_{number}/1"
        folder.mkdir(parents=True)
        configs = self.root / "configs"
        configs.mkdir(exist_ok=True)
        path = configs / f"{number}.{ending}"
        path.write_text(config)
        if metrics is not None:
            text = metrics if isinstance(metrics, bytes) else metrics.encode()
            (folder / self.name).write_bytes(text)
        digest = hashlib.sha256(config.encode()).digest()
        self.jobs.append(Result(number, 1, 1, "gauss", 1.5, Usage(1.0, 10**6), path.name, digest))

    @property
    def sources(self) -> Sources:
        task = cast(Task, _Task(str(self.root / "task"), self.name))
        return Sources(task, str(self.root / "configs"), True, tuple(self.jobs))


@pytest.fixture
def volume(hostile_dir: Path) -> Volume:
    return Volume(hostile_dir, [])


def test_a_row_is_a_config_s_values_and_its_metrics(volume: Volume) -> None:
    volume.job('{"val": {"acc": 0.9}}', '{"lr": 0.1, "net": {"layers": [64, 64]}}')
    volume.job('{"val": {"acc": 0.7}}', "lr: 0.2\nnet:\n  layers: [8]\nday: 2026-01-02\n", "yaml")
    volume.job('{"val": {"acc": 0.8}}', "lr = 0.3\n[net]\nlayers = [1]\n", "toml")
    volume.job('{"val": {"acc": 0.6}}', "lr=7, as only the user's program reads it", "cfg")
    rows = results.read(volume.sources).rows
    assert [row.metrics for row in rows] == [{"val.acc": x} for x in (0.9, 0.7, 0.8, 0.6)]
    assert [dict(row.values) for row in rows] == [
        {"lr": 0.1, "net.layers": [64, 64]},
        {"lr": 0.2, "net.layers": [8], "day": "2026-01-02"},
        {"lr": 0.3, "net.layers": [1]},
        {},
    ]
    assert [row.note for row in rows] == [None] * 4


@pytest.mark.parametrize(
    ("metrics", "note"),
    [
        (None, "metrics.json is missing"),
        ('{"a": 1,\n "b" 2}', "metrics.json is not valid JSON (line 2, column 6)"),
        ("", "metrics.json is not valid JSON (line 1, column 1)"),
        ("[1, 2]", "metrics.json does not hold named values"),
        (b"\xff\xfe\xff", "metrics.json is not"),
        ("[" * 100_000, "metrics.json is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "metrics.json has a number of more than 1,000 digits"),
        ("x" * (BOUNDS.bytes + 1), "metrics.json has 1 MB; at most 1 MB is read"),
    ],
)
def test_what_cannot_be_read_is_a_note(
    volume: Volume, metrics: str | bytes | None, note: str
) -> None:
    volume.job(metrics, '{"lr": 1}')
    (row,) = results.read(volume.sources).rows
    assert row.note is not None
    assert row.note.startswith(note)
    assert (row.metrics, row.values) == ({}, {"lr": 1})


def test_a_folder_or_a_pipe_in_the_file_s_place(volume: Volume) -> None:
    volume.job(None)
    volume.job(None)
    attempts = volume.root / "task/.attempts"
    (attempts / "job_configId_0/1/metrics.json").mkdir()
    os.mkfifo(attempts / "job_configId_1/1/metrics.json")
    notes = [row.note for row in results.read(volume.sources).rows]
    assert notes == ["metrics.json is not a regular file"] * 2


def test_a_config_that_changed_gives_no_values(volume: Volume) -> None:
    volume.job('{"loss": 1}', '{"lr": 1}')
    (volume.root / "configs/0.json").write_text('{"lr": 2}')
    (row,) = results.read(volume.sources).rows
    assert row.values == {}
    assert row.note == "the config has changed since it was registered"
    assert row.metrics == {"loss": 1}


def test_broken_yaml_says_where(volume: Volume) -> None:
    volume.job("{}", "a: [1, 2\nb: 3\n", "yml")
    (row,) = results.read(volume.sources).rows
    assert row.note == "the config is not valid YAML (line 2, column 2)"


def test_yaml_runs_nothing(volume: Volume) -> None:
    volume.job("{}", f"!!python/object/apply:os.mkdir ['{volume.root}/made']\n", "yaml")
    (row,) = results.read(volume.sources).rows
    assert (row.note or "").startswith("the config is not valid YAML")
    assert not (volume.root / "made").exists()


def test_the_outputs_of_an_older_task_say_what_its_metrics_say(volume: Volume) -> None:
    volume.job('{"eval": 1}')
    folder = volume.root / "configs/.attempts/job_configId_0/1"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text('{"accuracy": 0.5}')
    volume.jobs[0] = Result(0, 1, 1, None, None, NOT_MEASURED, ".attempts/job_configId_0/1", None)
    (row,) = results.read(volume.sources).rows
    assert (row.values, row.metrics, row.note) == ({"accuracy": 0.5}, {"eval": 1}, None)


def test_another_name_for_the_metrics(volume: Volume) -> None:
    volume.name = "final.yaml"
    volume.job("loss: 0.5\n")
    (row,) = results.read(volume.sources).rows
    assert row.metrics == {"loss": 0.5}


def test_a_missing_volume_is_reported(volume: Volume) -> None:
    volume.job("{}")
    (volume.root / "task").rename(volume.root / "elsewhere")
    with pytest.raises(VolumeError, match="does not exist on this machine"):
        results.read(volume.sources)


def test_what_the_database_knows_is_not_looked_for(volume: Volume) -> None:
    volume.job(None, '{"lr": 1}')
    volume.jobs[0] = replace(volume.jobs[0], metrics='{"loss": 2}', config='{"lr": 3}')
    (volume.root / "task").rename(volume.root / "elsewhere")
    (row,) = results.read(volume.sources).rows
    assert (row.metrics, row.values, row.note) == ({"loss": 2}, {"lr": 3}, None)


def test_of_json_lines_the_last_one_counts_however_long_they_are(volume: Volume) -> None:
    volume.job('{"epoch": 1}\n' * 100_000 + '{"epoch": 2}\n')
    volume.job('{"a": ["' + "x" * BOUNDS.bytes + '",\n1]}')
    volume.name = "metrics.json"
    first, second = results.read(volume.sources).rows
    assert (first.metrics, first.note) == ({"epoch": 2}, None)
    assert second.note == "metrics.json has 1 MB; at most 1 MB is read"


def running(volume: Volume, *jobs: int) -> Sources:
    """The same jobs, of which some still run."""
    live = [replace(volume.jobs[job], state=JobStatus.RUNNING) for job in jobs]
    done = [job for job in volume.jobs if job.index not in jobs]
    return replace(volume.sources, jobs=tuple(done), running=tuple(live))


def test_what_running_jobs_have_written_stands_beside_the_done_ones(volume: Volume) -> None:
    volume.job('{"loss": 3}\n{"loss": 2}\n{"lo', '{"lr": 1}')
    volume.job('{"loss": 1}', '{"lr": 2}')
    volume.job(None, '{"lr": 3}')
    volume.job("")
    volume.job("a", '{"lr": 4}')
    table = results.read(running(volume, 0, 2, 3, 4))
    assert [(row.state, row.metrics, row.values.get("lr")) for row in table.rows] == [
        ("running", {"loss": 2}, 1), ("done", {"loss": 1}, 2), ("running", {}, 3), ("running", {}, None),
        ("running", {}, 4),
    ]  # fmt: skip
    assert [row.note for row in table.rows] == [
        None, None, None, "metrics.json is empty so far", "metrics.json is not valid JSON (line 1, column 1)",
    ]  # fmt: skip
    ages = [row.age for row in table.rows]
    assert ages[0] is not None
    assert 0 <= ages[0] < 60
    assert ages[1:] == [None] * 4
    assert [column.name for column in table.columns][:4] == ["job", "state", "age", "lr"]


def test_a_file_that_is_being_rewritten_is_read_again(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume.job('{"loss": 1}')
    read, torn = document_files.load_growing, [True]

    def read_torn(*given: Any) -> tuple[bytes, os.stat_result]:
        end, facts = read(*given)
        return (end[:5] if torn and torn.pop() else end), facts

    monkeypatch.setattr(document_files, "load_growing", read_torn)
    (row,) = results.read(running(volume, 0)).rows
    assert (row.metrics, row.note, torn) == ({"loss": 1}, None, [])


def test_what_is_no_file_is_no_trap_while_a_job_runs(volume: Volume) -> None:
    for _ in range(4):
        volume.job(None)
    folder = volume.root / "task/.attempts"
    os.mkfifo(folder / "job_configId_0/1/metrics.json")
    (folder / "job_configId_1/1/metrics.json").mkdir()
    (folder / "job_configId_2/1/metrics.json").symlink_to("/etc/passwd")
    with (folder / "job_configId_3/1/metrics.json").open("wb") as file:
        file.truncate(10**12)
    notes = [row.note or "" for row in results.read(running(volume, 0, 1, 2, 3)).rows]
    assert notes[:2] == ["metrics.json is not a regular file"] * 2
    assert "links are not followed" in notes[2]
    assert "at most 1 MB is read" in notes[3]


def test_a_volume_that_is_elsewhere_or_hangs_leaves_what_is_known(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume.job(None, '{"lr": 1}')
    volume.job(None)
    volume.jobs = [replace(job, config='{"lr": 3}', metrics='{"loss": 2}') for job in volume.jobs]
    sources = running(volume, 1)
    (volume.root / "task").rename(volume.root / "elsewhere")
    done, live = results.read(sources).rows
    assert (done.metrics, done.note) == ({"loss": 2}, None)
    assert (live.values, live.note) == (
        {"lr": 3}, f"{volume.root}/task does not exist on this machine",
    )  # fmt: skip
    monkeypatch.setattr(fs_health, "first_unresponsive", lambda *_, **__: "/volume")
    done, live = results.read(sources).rows
    assert (done.metrics, live.values, live.note) == (
        {"loss": 2}, {"lr": 3}, "/volume does not answer",
    )  # fmt: skip


@pytest.mark.timeout(20)
def test_a_hung_volume_does_not_block_the_caller(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume.job('{"loss": 1}')
    over = threading.Event()
    monkeypatch.setattr(job_files, "open_file", lambda *_: over.wait(60) and 0)
    try:
        with pytest.raises(VolumeError, match="did not answer in time"):
            results.read(volume.sources, patience=0.2)
    finally:
        over.set()


def test_threads_give_results_in_order_and_say_how_far_they_are() -> None:
    told: list[tuple[int, int]] = []
    squares = thread_map(range(1000), lambda n: n * n, progress=lambda *now: told.append(now))
    assert squares == [n * n for n in range(1000)]
    assert told[-1] == (1000, 1000)
    assert thread_map([], str) == []


def test_what_a_thread_raises_is_raised() -> None:
    def work(number: int) -> Any:
        raise KeyError(number)

    with pytest.raises(KeyError):
        thread_map([1, 2, 3], cast(Callable[[int], Any], work))


def test_the_folder_as_text_is_the_folder() -> None:
    folder = JobPaths(PurePosixPath("/data/a b"), 17).attempt(2)
    assert JobPaths.folder("/data/a b", 17, 2) == str(folder)
