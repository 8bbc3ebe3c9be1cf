"""Files that jobs wrote: what is opened is a regular file below the attempt's folder, whatever stands in its place."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestra.domain.documents import Unusable
from orchestra.files import document_files, job_files
from support.ordinary import Ordinary

NAME = "metrics.json"
SECRET = '{"password": "correct horse"}'


@pytest.fixture
def folder(hostile_dir: Path) -> Path:
    made = hostile_dir / "user.ana.t" / ".attempts" / "job_configId_0" / "1"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.json"
    path.write_text(SECRET)
    return path


def read(folder: Path, name: str = NAME) -> str:
    descriptor = job_files.open_file(str(folder), name)
    with os.fdopen(descriptor) as file:
        return file.read()


def test_a_file_of_the_job_is_read(folder: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    for name in (NAME, f"deep/er/{NAME}"):
        (folder / name).write_text("{}")
        assert read(folder, name) == "{}"
        assert job_files.exists(str(folder), name)
    assert document_files.load_written(str(folder), NAME, 100) == (b"{}", 2)


def test_the_volume_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (folder / NAME).write_text("{}")
    volume = tmp_path / "volume"
    volume.symlink_to(folder.parents[3])
    assert read(volume / folder.relative_to(folder.parents[3])) == "{}"


def test_what_is_not_there_is_not_there(folder: Path) -> None:
    (folder / "file").write_text("")
    for name in ("nothing", "no/thing", "file/thing"):
        assert not job_files.exists(str(folder), name)
        with pytest.raises(Unusable, match="is missing"):
            document_files.load_written(str(folder), name, 100)
    assert not job_files.exists(str(folder.with_name("2")), NAME)


def link(at: Path, secret: Path) -> None:
    at.symlink_to(secret)


def link_to_nothing(at: Path, _: Path) -> None:
    at.symlink_to("/nowhere")


def pipe(at: Path, _: Path) -> None:
    os.mkfifo(at)


def listener(at: Path, _: Path) -> None:
    here = Path.cwd()
    os.chdir(at.parent)  # a socket's path is short
    try:
        socket.socket(socket.AF_UNIX).bind(at.name)
    finally:
        os.chdir(here)


def device(at: Path, _: Path) -> None:
    os.mknod(at, stat.S_IFCHR | 0o666, os.makedev(1, 3))


@pytest.mark.parametrize("put", [link, link_to_nothing, pipe, listener])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_nothing_else_is_opened(
    folder: Path, secret: Path, put: Callable[[Path, Path], None]
) -> None:
    put(folder / NAME, secret)
    refuses(folder, NAME)


@pytest.mark.needs("root")
def test_no_device_is_opened(folder: Path, secret: Path) -> None:
    device(folder / NAME, secret)
    refuses(folder, NAME)


def refuses(folder: Path, name: str) -> None:
    with pytest.raises(job_files.Untrusted) as told:
        job_files.open_file(str(folder), name)
    with pytest.raises(job_files.Untrusted):
        job_files.exists(str(folder), name)
    with pytest.raises(Unusable, match=str(told.value.strerror)[:20]):
        document_files.load_written(str(folder), name, 100)


def test_a_folder_is_not_a_file_but_exists(folder: Path) -> None:
    (folder / NAME).mkdir()
    with pytest.raises(job_files.Untrusted, match="is not a regular file"):
        job_files.open_file(str(folder), NAME)
    assert job_files.exists(str(folder), NAME)


@pytest.mark.parametrize("parts_up", [0, 1, 2, 3])
def test_no_folder_from_the_task_s_on_may_be_a_link(folder: Path, parts_up: int) -> None:
    (folder / NAME).write_text(SECRET)
    moved = [folder, *folder.parents][parts_up]
    elsewhere = moved.with_name("elsewhere")
    moved.rename(elsewhere)
    moved.symlink_to(elsewhere)
    refuses(folder, NAME)


def test_no_folder_below_the_attempt_s_may_be_a_link(folder: Path, secret: Path) -> None:
    (folder / "logs").symlink_to(secret.parent)
    refuses(folder, f"logs/{secret.name}")


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret", "a/../../b", ".", "", "a//b", "a\0b"])
def test_a_name_stays_below_the_folder(folder: Path, name: str) -> None:
    refuses(folder, name)


@pytest.mark.parametrize("strange", ["", "relative/a/b/c", "/a/b", "/v/t/../j/1", "/v/t\0/a/j/1"])
def test_a_folder_of_no_attempt_is_refused(strange: str) -> None:
    with pytest.raises(job_files.Untrusted):
        job_files.open_file(strange, NAME)


@pytest.mark.needs("root")
def test_a_hard_link_to_somebody_else_s_file_is_refused(
    folder: Path, secret: Path, ordinary: Ordinary
) -> None:
    os.chown(folder, ordinary.uid, ordinary.gid)
    os.link(secret, folder / NAME)
    refuses(folder, NAME)
    secret.unlink()  # the second name is the only one now
    refuses(folder, NAME)
    os.chown(folder / NAME, ordinary.uid, ordinary.gid)
    assert read(folder) == SECRET


def test_a_job_may_give_its_own_file_two_names(folder: Path) -> None:
    (folder / "best.json").write_text("{}")
    os.link(folder / "best.json", folder / NAME)
    assert read(folder) == "{}"


@pytest.fixture
def swapping(folder: Path, secret: Path) -> Iterator[None]:
    """Somebody who puts a link, a pipe and a file in the file's place by turns, and a link in that of its folder."""
    inner = folder / "in"
    inner.mkdir()
    over = threading.Event()

    def swap() -> None:
        beside = folder / "beside"
        while not over.is_set():
            for kind in (link, pipe):
                with suppress(OSError):
                    kind(beside, secret)
                    beside.replace(inner / NAME)
            beside.write_text("{}")
            beside.replace(inner / NAME)
            with suppress(OSError):
                inner.rename(folder / "aside")
                inner.symlink_to(secret.parent)
                inner.unlink()
                (folder / "aside").rename(inner)

    (secret.parent / NAME).write_text(SECRET)
    thread = threading.Thread(target=swap)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.usefixtures("swapping")
def test_no_swap_between_look_and_open_is_fallen_for(folder: Path) -> None:
    found = set()
    for _ in range(3000):
        try:
            found.add(read(folder, f"in/{NAME}"))
        except OSError as error:
            found.add(type(error).__name__)
    assert "{}" in found
    assert SECRET not in found
