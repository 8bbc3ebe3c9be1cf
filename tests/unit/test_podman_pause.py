"""The removal of what an ordinary user's podman leaves behind, unless it is still needed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestra.runtimes import podman_pause
from orchestra.runtimes.podman_pause import MARK, clean_up
from support.waiting import wait_until

pytestmark = pytest.mark.needs("root")


class Podman:
    """A process in a namespace of its own and folders, as podman leaves them."""

    def __init__(self, folder: Path, processes: ExitStack) -> None:
        self.environ = {"XDG_RUNTIME_DIR": str(folder / "run")}
        self.in_tmp = folder / "podman-run-0"
        (self.in_tmp / "libpod/tmp").mkdir(parents=True)
        self.note = folder / "run/libpod/tmp/pause.pid"
        self.note.parent.mkdir(parents=True)
        self.pids: list[int] = []
        self._processes = processes

    def begin(self, *prefix: str, mark: bool) -> subprocess.Popen[bytes]:
        environ = {"PATH": os.environ["PATH"], **({MARK: "1"} if mark else {})}
        process = subprocess.Popen([*prefix, "sleep", "100"], env=environ)
        self.pids.append(process.pid)
        self._processes.callback(process.wait)
        self._processes.callback(process.kill)
        command = Path(f"/proc/{process.pid}/cmdline")
        wait_until(lambda: command.read_bytes().startswith(b"sleep"), 10)
        return process

    def pause(self, *, mark: bool) -> subprocess.Popen[bytes]:
        process = self.begin("unshare", "--user", mark=mark)
        self.note.write_text(str(process.pid))
        return process


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Podman]:
    with ExitStack() as processes:
        found = Podman(tmp_path, processes)
        monkeypatch.setattr(podman_pause, "_in_tmp", lambda: [found.in_tmp])
        # Nobody else's pilots.
        monkeypatch.setattr(
            podman_pause,
            "_others",
            lambda pid: [Path(f"/proc/{each}") for each in found.pids if each != pid],
        )
        yield found


def test_marked_process_is_ended(podman: Podman) -> None:
    process = podman.pause(mark=True)
    (podman.in_tmp / "libpod/tmp/alive").touch()
    clean_up(podman.environ)
    assert process.wait(10) == -9
    assert not podman.note.exists()
    assert not podman.in_tmp.exists()


def test_earlier_process_is_kept(podman: Podman) -> None:
    process = podman.pause(mark=False)
    clean_up(podman.environ)
    assert process.poll() is None
    assert podman.note.exists()
    assert podman.in_tmp.exists()


def test_process_of_a_container_is_kept(podman: Podman) -> None:
    process = podman.pause(mark=True)
    podman.begin(
        "nsenter", "--preserve-credentials", f"--user=/proc/{process.pid}/ns/user", "--", mark=False
    )
    clean_up(podman.environ)
    assert process.poll() is None


@pytest.mark.parametrize("pid", ["", "x", "0", "999999999"])
def test_stale_pid_file_ends_nothing_and_empty_folders_are_removed(
    podman: Podman, pid: str
) -> None:
    podman.note.write_text(pid)
    clean_up(podman.environ)
    assert not podman.in_tmp.exists()


def test_folder_with_content_is_kept(podman: Podman) -> None:
    (podman.in_tmp / "libpod/tmp/alive").touch()
    clean_up(podman.environ)
    assert (podman.in_tmp / "libpod/tmp/alive").exists()
