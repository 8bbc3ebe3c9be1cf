"""Attempts' folders, logs and symlinks, below folders whose names break careless code."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePosixPath

import pytest

from orchestra.domain.errors import VolumeError
from orchestra.domain.models.jobs import JobPaths
from orchestra.pilot import folders
from orchestra.pilot.state_folder import make_private, pilot_folder


@pytest.fixture
def paths(hostile_dir: Path) -> JobPaths:
    return JobPaths(PurePosixPath(hostile_dir / 'task "%IN" ü'), 3)


def make(paths: JobPaths, number: int, *, new: bool = True) -> None:
    volume = str(paths.task_folder.parent)
    os.close(folders.open_attempt(volume, paths, number, new=new))


def test_an_attempt_gets_a_folder_and_a_log_that_is_appended_to(paths: JobPaths) -> None:
    for text in (b"one\n", b"two\n"):
        descriptor = folders.open_attempt(
            str(paths.task_folder.parent), paths, 1, new=text == b"one\n"
        )
        assert not os.get_inheritable(descriptor)
        os.write(descriptor, text)
        os.close(descriptor)
    assert Path(paths.log(1)).read_bytes() == b"one\ntwo\n"


def test_an_existing_folder_is_refused_if_it_must_be_new(paths: JobPaths) -> None:
    make(paths, 1)
    with pytest.raises(VolumeError, match="exists already"):
        make(paths, 1)


def test_nothing_is_written_to_a_volume_that_is_not_mounted(paths: JobPaths) -> None:
    gone = str(paths.task_folder.parent / "not mounted")
    with pytest.raises(VolumeError, match="is missing on this node"):
        folders.open_attempt(gone, paths, 1, new=True)


def test_a_file_in_the_way_is_named(paths: JobPaths) -> None:
    Path(paths.task_folder).write_text("")
    with pytest.raises(VolumeError, match="ü"):
        make(paths, 1)


def test_a_pipe_that_a_job_left_as_its_log_is_renamed(paths: JobPaths) -> None:
    make(paths, 1)
    log = Path(paths.log(1))
    log.unlink()
    os.mkfifo(log)
    make(paths, 1, new=False)
    assert log.is_file()
    assert [path.is_fifo() for path in log.parent.glob("job.log.*")] == [True]


def test_the_log_of_a_job_is_in_blocking_mode(paths: JobPaths) -> None:
    descriptor = folders.open_attempt(str(paths.task_folder.parent), paths, 1, new=True)
    assert os.get_blocking(descriptor)
    os.close(descriptor)


def test_a_folder_is_resolved_by_its_log_while_that_exists(paths: JobPaths, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.symlink_to(paths.task_folder.parent)
    linked = JobPaths(PurePosixPath(volume) / paths.task_folder.name, paths.index)
    descriptor = folders.open_attempt(str(volume), linked, 1, new=True)
    wanted = os.path.realpath(paths.attempt(1))
    assert folders.resolved(str(linked.attempt(1)), descriptor) == wanted
    Path(linked.log(1)).unlink()
    assert folders.resolved(str(linked.attempt(1)), descriptor) == wanted
    os.close(descriptor)


def test_an_error_names_the_path_and_the_reason(
    paths: JobPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, mode: int = 0o777) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(VolumeError) as caught:
        make(paths, 1)
    assert str(paths.attempt(1)) in str(caught.value)
    assert str(caught.value).startswith("the volume has no space left: cannot make")


def test_the_symlink_points_at_the_latest_attempt_and_never_back(paths: JobPaths) -> None:
    for number in (1, 2):
        make(paths, number)
        folders.point_link(paths, number)
        assert Path(paths.link).readlink() == Path(f".attempts/job_configId_3/{number}")
        assert Path(paths.link).resolve() == Path(paths.attempt(number))
    folders.point_link(paths, 1)
    assert folders.linked_number(paths) == 2
    assert sorted(os.listdir(paths.task_folder)) == [".attempts", "job_configId_3"]


def test_a_dangling_symlink_is_replaced(paths: JobPaths) -> None:
    make(paths, 1)
    Path(paths.link).symlink_to(".attempts/job_configId_3/9")
    assert folders.linked_number(paths) is None
    folders.point_link(paths, 1)
    assert folders.linked_number(paths) == 1


def test_a_folder_with_the_name_of_the_symlink_is_left_alone(paths: JobPaths) -> None:
    make(paths, 1)
    Path(paths.link).mkdir()
    (Path(paths.link) / "precious").write_text("")
    with pytest.raises(VolumeError, match="not a link of Orchestra"):
        folders.point_link(paths, 1)
    assert (Path(paths.link) / "precious").exists()


# The pilot's own folder


def test_each_node_and_cluster_has_its_own_folder(tmp_path: Path) -> None:
    env = {"XDG_STATE_HOME": str(tmp_path)}
    names = ["gauss", "a/b", "a%2Fb", "..", ".", "", "ü; $(x)"]
    found = {pilot_folder("0123456789", name, env=env, uid=1000) for name in names}
    found.add(pilot_folder("abcdefghij", "gauss", env=env, uid=1000))
    assert len(found) == len(names) + 1
    assert tmp_path / "orchestra" / "pilots" / "01234567" / "gauss" in found
    assert {path.parent.parent for path in found} == {tmp_path / "orchestra" / "pilots"}


def test_a_pilot_has_a_folder_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 2_000_000_001)
    found = pilot_folder("0123456789", "gauss", env={})
    assert found == Path("/var/tmp/orchestra-pilots-2000000001/01234567/gauss")


def test_no_other_account_can_write_to_a_pilots_folder(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "old").mkdir()  # by an earlier version
        for base in ("old", "new/state"):
            make_private(tmp_path / base / "01234567/gauss")
    finally:
        os.umask(before)
    open_to_others = [path for path in tmp_path.rglob("*") if path.stat().st_mode & 0o022]
    assert open_to_others == []


def test_root_uses_a_system_folder() -> None:
    found = pilot_folder("0123456789", "gauss", env={}, uid=0)
    assert found == Path("/var/lib/orchestra-pilots/01234567/gauss")
