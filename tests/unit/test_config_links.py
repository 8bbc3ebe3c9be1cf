"""Links named after configs lead to their results, are replaced only where they are such links, and escape nowhere."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from orchestra.domain.models.jobs import JobPaths
from orchestra.files import attempt_folders, config_links, volume
from orchestra.pilot import folders


@pytest.fixture
def task(hostile_dir: Path) -> Path:
    found = hostile_dir / "user.ana.task"
    found.mkdir()
    return found


def run(task: Path, index: int, config: str, number: int = 1) -> None:
    """Make what a pilot makes for an attempt; its output says which one it is."""
    paths = JobPaths(PurePosixPath(task), index)
    os.close(folders.open_attempt(str(task.parent), paths, number, new=True))
    folders.point_link(paths, number)
    config_links.make(str(task), index, config)
    Path(paths.attempt(number), "result").write_text(f"{index}/{number}")


def result(task: Path, name: str) -> str:
    return (task / "by-config" / name / "result").read_text()


def survey(task: Path, *recorded: tuple[int, int]) -> list[str]:
    return attempt_folders.survey(str(task), frozenset(recorded)).foreign


CONFIGS = (
    "a.yaml", "a.json", "a", "model/a.yaml", "model/big/a.yaml", ".hidden", "größe $(x) '\".json", "new\nline",
    "x" * 255, "job_configId_0", "-o",
)  # fmt: skip


def test_each_config_has_a_link_of_its_own(task: Path) -> None:
    for index, config in enumerate(CONFIGS):
        run(task, index, config)
    assert [result(task, config) for config in CONFIGS] == [f"{n}/1" for n in range(len(CONFIGS))]
    assert survey(task, *((n, 1) for n in range(len(CONFIGS)))) == []


def test_a_link_follows_the_job_from_attempt_to_attempt(task: Path) -> None:
    run(task, 3, "model/a.yaml")
    before = os.lstat(task / "by-config/model/a.yaml").st_ino
    run(task, 3, "model/a.yaml", 2)
    assert result(task, "model/a.yaml") == "3/2"
    assert os.lstat(task / "by-config/model/a.yaml").st_ino == before, "nothing is written again"
    task.rename(task.parent / "moved")
    assert result(task.parent / "moved", "model/a.yaml") == "3/2", "the links are relative"


@pytest.mark.parametrize(
    "config", ["../a", "a/../../b", ".attempts/x", "a//b", "/etc/passwd", "", "."]
)
def test_no_link_escapes_or_looks_like_a_task(task: Path, config: str) -> None:
    config_links.make(str(task), 0, config)
    assert os.listdir(task) == []


def test_outputs_of_another_task_are_named_by_its_jobs(task: Path) -> None:
    run(task, 0, ".attempts/job_configId_7/2")
    assert result(task, "job_configId_7") == "0/1"


def test_what_is_not_ours_is_neither_replaced_nor_entered(task: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (task / "by-config").mkdir()
    (task / "by-config/a.yaml").write_text("mine")
    (task / "by-config/b.yaml").symlink_to(elsewhere)
    for config in ("a.yaml", "b.yaml", "a.yaml/x", "b.yaml/x"):
        with pytest.raises(OSError):  # noqa: PT011
            config_links.make(str(task), 0, config)
    assert (task / "by-config/a.yaml").read_text() == "mine"
    assert os.listdir(elsewhere) == []
    assert survey(task) == ["by-config/a.yaml", "by-config/b.yaml"]
    attempt_folders.remove(str(task), [])
    assert sorted(os.listdir(task / "by-config")) == ["a.yaml", "b.yaml"]
    (other := task.parent / "user.ana.other").mkdir()
    (other / "by-config").symlink_to(elsewhere)
    with pytest.raises(OSError):  # noqa: PT011
        config_links.make(str(other), 0, "a.yaml")
    config_links.settle(str(other))
    assert survey(other) == ["by-config"]
    assert os.listdir(elsewhere) == []


def test_links_go_with_what_they_lead_to(task: Path) -> None:
    run(task, 0, "a.yaml")
    run(task, 1, "model/b.yaml")
    run(task, 1, "model/b.yaml", 2)
    attempt_folders.remove(str(task), [(1, 1)])
    assert result(task, "model/b.yaml") == "1/2"
    attempt_folders.remove(str(task), [(1, 2)])
    assert os.listdir(task / "by-config") == ["a.yaml"]
    attempt_folders.remove(str(task), [(0, 1)])
    assert not task.exists()


def test_a_folder_that_is_used_again_keeps_its_old_results_by_name(task: Path) -> None:
    run(task, 0, "a.yaml")
    run(task, 1, "b.yaml")
    run(task, 2, "model")
    assert volume.highest_attempt(str(task)) == 1
    config_links.settle(str(task))
    run(task, 0, "b.yaml", 2)
    run(task, 1, "c.yaml", 2)
    run(task, 2, "model/d.yaml", 2)
    names = ("a.yaml", "b.yaml", "c.yaml", "model/d.yaml")
    assert [result(task, name) for name in names] == ["0/1", "0/2", "1/2", "2/2"]
    everything = [(index, number) for index in range(3) for number in (1, 2)]
    assert survey(task, *everything) == []
    attempt_folders.remove(str(task), everything)
    assert not task.exists()


def test_a_folder_without_links_is_settled_already(task: Path) -> None:
    config_links.settle(str(task))
    config_links.settle(str(task / "nowhere"))
    assert os.listdir(task) == []
