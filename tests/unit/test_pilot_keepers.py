"""Keepers that are lost, being started or incompatible, and the spools of dead ones."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from orchestra.domain.models.work import AttemptKey
from orchestra.pilot import keeper
from orchestra.pilot.keeper_handle import KeeperHandle
from orchestra.pilot.keeper_messages import Hello, KeeperError, Started
from orchestra.pilot.keeper_process import end_keeper, has_agent
from orchestra.pilot.keeper_spool import is_alive, read_spool
from orchestra.pilot.keepers import Keepers
from support.waiting import wait_until


def test_no_file_below_the_keepers_folder_stops_an_agent_or_is_lost(tmp_path: Path) -> None:
    """A stray file, a keeper that never started, and a spool that lost its first page in a power failure."""
    folder = tmp_path / "keepers"
    for name in ("empty", "damaged"):
        (folder / name).mkdir(parents=True)
    (folder / "stray").write_text("")
    spool = bytes(keeper.SLOT_BYTES) + keeper.seal({"type": "ended"})
    (folder / "damaged" / "spool").write_bytes(spool)
    keepers = Keepers(folder, uuid4())
    assert keepers.adopt() == []
    assert keepers.all_connected
    assert not (folder / "empty").exists()
    assert not (folder / "damaged").exists()
    assert (tmp_path / "set-aside" / "keeper-damaged" / "spool").read_bytes() == spool


def test_a_keeper_that_another_agent_is_starting_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, gate = tmp_path / "python", tmp_path / "gate"
    slow.write_text(
        f'#!/bin/sh\nuntil [ -e {gate} ]; do sleep 0.02; done\nexec {sys.executable} "$@"\n'
    )
    slow.chmod(0o755)
    monkeypatch.setattr("orchestra.pilot.keeper_process.sys.executable", str(slow))
    first, second = (Keepers(tmp_path / "keepers", uuid4()) for _ in range(2))
    with ThreadPoolExecutor(1) as aside:
        making = aside.submit(first.start)
        [folder] = wait_until(lambda: list(first.folder.glob("*")))
        assert second.adopt() == []
        assert not second.all_connected
        gate.touch()
        made = making.result()
    try:
        assert folder == made.folder
        assert [handle.id for handle in wait_until(second.adopt)] == [made.id]
        assert second.all_connected
    finally:
        os.kill(made.hello.pid, signal.SIGKILL)
        for handle in (*first.handles.values(), *second.handles.values()):
            handle.close()


def _lost(folder: Path) -> tuple[Keepers, KeeperHandle]:
    keepers = Keepers(folder.parent, uuid4())
    started = Started(AttemptKey(3, 17, 1, uuid4()), 1, 1, 1.0, None)
    handle = KeeperHandle(
        Hello(uuid4(), "boot", 1, "1", 1, running=(started,)), folder, None, registered=True
    )
    keepers.handles[handle.id] = handle
    return keepers, handle


def test_a_keeper_that_another_agent_has_closed_out_has_nothing_left_to_report(
    tmp_path: Path,
) -> None:
    keepers, handle = _lost(tmp_path / "gone")
    assert keepers.reconnect(handle)
    assert (handle.dead, handle.closed_out, handle.retired) == (True, True, True)
    assert (handle.hello.running, handle.hello.outcomes) == ((), ())
    keepers.remove(handle)
    assert not keepers.handles


def test_a_keeper_whose_spool_cannot_be_read_is_dead_but_not_closed_out(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "spool").write_bytes(b"\0" * 4096)
    keepers, handle = _lost(folder)
    assert keepers.reconnect(handle)
    assert (handle.dead, handle.closed_out, handle.hello.running) == (True, False, ())


def spool_of(folder: Path) -> Hello:
    """The spool of a keeper, once it has written one."""
    try:
        return read_spool(folder)
    except KeeperError as error:
        raise AssertionError(error) from None


def start_other(folder: Path, protocol: int) -> int:
    """Start a keeper that speaks another protocol; return its pid."""
    folder.mkdir(parents=True)
    other = folder.parent.parent / f"keeper{protocol}.py"
    text = Path(keeper.__file__).read_text()
    other.write_text(text.replace("PROTOCOL = 1", f"PROTOCOL = {protocol}"))
    words = [sys.executable, "-I", "-S", str(other), "--folder", str(folder), "--id", str(uuid4())]
    subprocess.run(words, check=True, timeout=30)
    return wait_until(lambda: spool_of(folder)).pid


def test_a_keeper_of_another_protocol_is_known_by_its_spool(tmp_path: Path) -> None:
    pid = start_other(tmp_path / "keepers" / "other", 2)
    try:
        keepers = Keepers(tmp_path / "keepers", uuid4())
        [handle] = keepers.adopt()
        assert (handle.incompatible, handle.link, handle.takes_jobs) == (True, None, False)
        assert handle.hello.protocol == 2
        assert keepers.all_connected
        assert keepers.needs_one
        wait_until(lambda: not has_agent(handle.hello))
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(handle.folder / "socket"))
            wait_until(lambda: has_agent(handle.hello))
        wait_until(lambda: not has_agent(handle.hello))
        end_keeper(handle.hello)
        wait_until(lambda: not is_alive(handle.folder))
        assert keepers.refresh(handle)
        assert handle.dead
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_the_previous_protocol_is_supported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(1, keeper.PROTOCOL - 1) >= keeper.OLDEST_PROTOCOL
    monkeypatch.setattr(keeper, "OLDEST_PROTOCOL", 0)
    pid = start_other(tmp_path / "keepers" / "older", 0)
    try:
        keepers = Keepers(tmp_path / "keepers", uuid4())
        [handle] = keepers.adopt()
        assert handle.link
        assert (handle.incompatible, handle.link.hello.protocol) == (False, 0)
        handle.close()
    finally:
        os.kill(pid, signal.SIGKILL)
