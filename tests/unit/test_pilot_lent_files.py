"""What killed pilots in allocations leave on a machine, and who removes it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from orchestra.pilot import lent_files, scratch_roots, state_folder
from orchestra.pilot.keeper_process import start_keeper


def left(base: Path, name: str, hours: float = 2.0) -> Path:
    """The folder of a pilot that started some hours ago."""
    folder = base / name
    folder.mkdir(parents=True)
    copy = folder / lent_files.COPY
    copy.touch()
    os.utime(copy, (0, time.time() - hours * 3600))
    return folder


def test_what_a_killed_pilot_has_left_is_removed_with_its_scratch(tmp_path: Path) -> None:
    base, own = tmp_path / "pilots", left(tmp_path / "pilots", "own")
    dead, new = left(base, "dead"), left(base, "new", hours=0.5)
    ordinary = base / "gauss"
    ordinary.mkdir()
    root = scratch_roots.root_of(dead, "dead", tmp_path)
    scratch_roots.make(root)
    (root / "12345678-0").mkdir()
    other = tmp_path / "not marked"
    other.mkdir()
    scratch_roots.former(dead / "scratch.json", root)
    scratch_roots.former(dead / "scratch.json", other)
    assert lent_files.remove_left(own) == ["dead"]
    assert not dead.exists()
    assert not root.exists()
    assert other.exists(), "it is not a pilot's"
    assert own.exists()
    assert new.exists(), "its pilot may just be starting"
    assert ordinary.exists()


def test_what_a_pilot_uses_stays(tmp_path: Path) -> None:
    own, used = left(tmp_path, "own"), left(tmp_path, "used")
    with state_folder.locked(used):
        assert lent_files.remove_left(own) == []
    assert lent_files.remove_left(own) == ["used"]


@pytest.mark.parametrize("hours", [2.0, 72.0])
def test_what_a_keeper_watches_stays(tmp_path: Path, hours: float) -> None:
    own, kept = left(tmp_path, "own"), left(tmp_path, "kept", hours)
    (kept / "keepers").mkdir()
    link = start_keeper(kept / "keepers" / "k", uuid4(), agent="a")
    try:
        assert lent_files.remove_left(own) == []
    finally:
        link.send_stop()
        link.flush()
        link.close()
