"""Removing folders: only those of attempts, and not through symlinks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import Refused
from orchestra.files import attempt_folders
from orchestra.services.tasks import removal
from support.world import World


def attempt(folder: Path, index: int, number: int, size: int = 100) -> Path:
    """Write an attempt's folder, like a pilot and its job."""
    made = folder / ".attempts" / f"job_configId_{index}" / str(number)
    (made / "sub").mkdir(parents=True)
    (made / "job.log").write_bytes(b"x" * size)
    (made / "sub" / "it's $(x)").write_bytes(b"x" * size)
    link = folder / f"job_configId_{index}"
    link.unlink(missing_ok=True)
    link.symlink_to(made.relative_to(folder))
    return made


RECORDED = frozenset({(0, 1), (0, 2), (1, 1)})


def test_a_survey_separates_known_and_unknown_attempts(hostile_dir: Path) -> None:
    for index, number in RECORDED:
        attempt(hostile_dir, index, number)
    attempt(hostile_dir, 1, 7)  # not recorded
    (hostile_dir / "notes").write_text("mine")
    (hostile_dir / "job_configId_x").mkdir()
    (hostile_dir / "job_configId_9").symlink_to("/etc")
    (hostile_dir / ".attempts" / "other").mkdir()
    found = attempt_folders.survey(str(hostile_dir), RECORDED)
    assert (found.folders, found.files, found.bytes) == (3, 6, 600)
    assert sorted(found.foreign) == [
        ".attempts/job_configId_1/7",
        ".attempts/other",
        "job_configId_9",
        "job_configId_x",
        "notes",
    ]


def test_other_files_stay(hostile_dir: Path) -> None:
    for index, number in RECORDED:
        attempt(hostile_dir, index, number)
    stranger = attempt(hostile_dir, 1, 7)
    assert attempt_folders.remove_attempts(str(hostile_dir), sorted(RECORDED)).folders == 3
    attempt_folders.remove_links(str(hostile_dir))
    assert (stranger / "job.log").exists()
    assert sorted(os.listdir(hostile_dir)) == [".attempts", "job_configId_1"]
    assert os.listdir(hostile_dir / ".attempts") == ["job_configId_1"]


def test_nothing_is_left_of_a_users_own_data(hostile_dir: Path) -> None:
    for index, number in RECORDED:
        attempt(hostile_dir, index, number)
    attempt_folders.remove_attempts(str(hostile_dir), sorted(RECORDED))
    attempt_folders.remove_links(str(hostile_dir))
    assert not hostile_dir.exists()


@pytest.mark.parametrize(
    "place", ["", ".attempts", ".attempts/job_configId_0", ".attempts/job_configId_0/1"]
)
def test_no_link_is_followed(tmp_path: Path, place: str) -> None:
    precious = tmp_path / "precious"
    attempt(precious, 0, 1)
    real = precious / place
    folder = tmp_path / "task"
    link = folder / place if place else folder
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(real)
    before = sorted(str(path) for path in precious.rglob("*"))
    recorded = frozenset({(0, 1)})
    assert attempt_folders.survey(str(folder), recorded).folders == 0
    assert attempt_folders.remove_attempts(str(folder), recorded).folders == 0
    attempt_folders.remove_links(str(folder))
    assert sorted(str(path) for path in precious.rglob("*")) == before
    assert link.is_symlink()


def test_links_within_an_attempt_are_removed_and_not_followed(
    hostile_dir: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_bytes(b"x" * 10**6)
    made = attempt(hostile_dir, 0, 1)
    (made / "away").symlink_to(precious)
    found = attempt_folders.survey(str(hostile_dir), frozenset({(0, 1)}))
    assert found.bytes < 10**6
    attempt_folders.remove_attempts(str(hostile_dir), [(0, 1)])
    assert (precious / "file").exists()
    assert not made.exists()


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert attempt_folders.survey(str(tmp_path / "none"), RECORDED) == attempt_folders.Survey()
    assert attempt_folders.remove_attempts(str(tmp_path / "none"), RECORDED).complete


def _run(world: World, *rounds: set[int]) -> None:
    """Run all waiting jobs once a round; each round lists those that fail."""
    pilot = world.pilot(serve_all=True)
    for failing in rounds:
        world.conduct(3)
        grants = pilot.claim(cpu=100)
        pilot.start(*grants)
        pilot.end(*[g for g in grants if g.key.index not in failing])
        pilot.end(*[g for g in grants if g.key.index in failing], status=1)
        world.conn.execute("update job set not_before = null where not_before is not null")
    world.conduct(3)


def test_superseded_attempts_are_those_that_no_result_needs(
    world: World, ana: Caller, hostile_dir: Path
) -> None:
    task = world.task(4, test_jobs=0, retries=2, folder=str(hostile_dir))
    _run(world, {1, 2}, {2}, {2})
    for index, numbers in {0: 1, 1: 2, 2: 3, 3: 1}.items():
        for number in range(1, numbers + 1):
            attempt(hostile_dir, index, number)
    found = removal.look_at_superseded(world.conn, ana, task)
    assert sorted(found.folders) == [(1, 1), (2, 1), (2, 2)]
    assert attempt_folders.survey(found.task.folder, found.folders).bytes == 600
    assert attempt_folders.remove(found.task.folder, found.folders).folders == 3
    assert (hostile_dir / "job_configId_1" / "job.log").exists()
    assert (hostile_dir / "job_configId_2" / "job.log").exists()
    everything = removal.look_at_task(world.conn, ana, task)
    assert attempt_folders.survey(everything.task.folder, everything.folders).folders == 4


def test_a_resumed_folder_is_needed_as_long_as_one_of_its_attempts_is(
    world: World, ana: Caller, hostile_dir: Path
) -> None:
    task = world.task(1, test_jobs=0, retries=2, folder=str(hostile_dir))
    _run(world, {0}, set())
    world.conn.execute("update attempt set folder_number = 1")
    assert removal.look_at_superseded(world.conn, ana, task).folders == frozenset()


def test_outputs_that_a_live_task_reads_stay(world: World, ana: Caller, hostile_dir: Path) -> None:
    task = world.task(1, folder=str(hostile_dir))
    version = world.dataset_version(1, str(hostile_dir))
    world.task(1, name="user.ana.eval", config_version_id=version)
    with pytest.raises(Refused, match=r"task 1 .* reads the outputs of task 0"):
        removal.look_at_task(world.conn, ana, task)
