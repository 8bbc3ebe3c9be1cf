"""Scratch folders: lent, taken back, lent again or removed, whatever attempts and dead agents have left."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from orchestra.domain.resources import Request
from orchestra.pilot import scratch as scratch_module
from orchestra.pilot import scratch_roots
from orchestra.pilot.context import Context
from orchestra.pilot.scratch import NoScratch, Scratch
from orchestra.pilot.scratch_duty import ScratchDuty
from orchestra.pilot.state import Phase, PilotState

AGENT, OTHER = UUID(int=0xA0 << 96), UUID(int=0xB0 << 96)


def scratch_in(folder: Path, agent: UUID = AGENT, **more: Any) -> Scratch:
    root = scratch_roots.root_of(folder, "gauss", None)
    return Scratch(root, agent, **more)


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) - {scratch_roots.MARK}


def test_a_folder_is_empty_private_and_lent_again_if_untouched(tmp_path: Path) -> None:
    scratch = scratch_in(tmp_path)
    first = scratch.lend()
    assert Path(first).stat().st_mode & 0o777 == 0o700
    assert scratch.lend() != first
    scratch.take_back(first)
    scratch.take_back(first)  # as when an attempt is released twice
    assert scratch.lend() == first
    assert list(scratch.idle) == []
    scratch.take_back(first)
    scratch.trim()
    assert scratch.remove_left() == []
    assert len(names(scratch.root)) == 1


def write(folder: Path) -> None:
    (folder / "checkpoint").write_text("x")


def lock_up(folder: Path) -> None:
    (folder / "sub").mkdir()
    write(folder / "sub")
    (folder / "sub").chmod(0o500)
    folder.chmod(0)


def go_deep(folder: Path) -> None:
    (folder / "/".join("d" * 120)).mkdir(parents=True)


def replace_by_link(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to(folder.parent.parent / "treasure")


def link_out(folder: Path) -> None:
    (folder / "out").symlink_to(folder.parent.parent / "treasure")


def open_up(folder: Path) -> None:
    folder.chmod(0o777)


@pytest.mark.parametrize(
    "harm", [write, lock_up, go_deep, replace_by_link, link_out, open_up, shutil.rmtree]
)
@pytest.mark.parametrize("age", [0, 2 * scratch_module.TICK_NS], ids=["just made", "older"])
def test_what_an_attempt_leaves_is_removed(
    tmp_path: Path, harm: Callable[[Path], None], age: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "treasure").mkdir()
    write(tmp_path / "treasure")
    scratch = scratch_in(tmp_path)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + age)
    folder = scratch.lend()
    harm(Path(folder))
    scratch.take_back(folder)
    assert scratch.lend() != folder
    assert scratch.remove_left() == []
    assert not os.path.lexists(folder)
    assert names(tmp_path / "treasure") == {"checkpoint"}


def test_folders_of_earlier_agents_are_found_in_every_root_and_nothing_else(tmp_path: Path) -> None:
    before = scratch_roots.root_of(tmp_path / "pilot", "gauss", tmp_path)
    assert before.parent == tmp_path
    old = Scratch(before, OTHER)
    left = old.lend()
    write(Path(left))
    scratch = scratch_in(tmp_path, former=(str(before), str(tmp_path / "gone")))
    mine = scratch.lend()
    earlier = scratch_in(tmp_path, OTHER).lend()
    for other in (scratch.root / "notes", before / "b0000000-x"):
        other.mkdir()
    assert set(scratch.foreign()) == {left, earlier}
    scratch.take_back(left)  # as of an attempt that an earlier agent has started
    assert scratch.remove_left() == []
    assert names(before) == {"b0000000-x"}
    assert Path(mine).exists()
    # What is not in a marked folder is not removed, whatever a note says.
    (before / scratch_roots.MARK).unlink()
    for path in (f"{before}/b0000000-5", f"{tmp_path}/c0000000-1"):
        Path(path).mkdir()
        write(Path(path))
        scratch.left.append(path)
    assert len(scratch.remove_left()) == 2
    assert scratch.foreign() == [earlier]


def test_pilots_that_share_a_disk_have_roots_of_their_own(tmp_path: Path) -> None:
    folders = [tmp_path / "a/gauss", tmp_path / "b/gauss", tmp_path / "b/euler"]
    roots = {scratch_roots.root_of(each, each.name, tmp_path) for each in folders}
    assert len(roots) == 3
    record = tmp_path / "scratch.json"
    one, two, three = sorted(roots)
    assert scratch_roots.former(record, one) == ()
    assert scratch_roots.former(record, two) == (str(one),)
    assert scratch_roots.former(record, one) == (str(two),)
    record.write_text("{")
    assert scratch_roots.former(record, three) == ()


def test_only_a_folder_of_the_pilot_s_own_is_used(tmp_path: Path) -> None:
    scratch = scratch_in(tmp_path)
    scratch.root.mkdir()
    write(scratch.root)
    error = scratch.error()
    assert error
    assert str(error) == "it holds files that no pilot has made"
    scratch.root.rename(tmp_path / "real")
    scratch.root.symlink_to(tmp_path / "real")
    assert scratch.error()
    with pytest.raises(NoScratch, match=r"^no scratch folder can be made in .*/root: no such file"):
        Scratch(tmp_path / "not mounted" / "root", AGENT).lend()


class _AtOnce:
    """Workers that do everything in the caller's thread."""

    def submit(
        self, work: Callable[[], Any], then: Callable[[Any], None], *_: Any, **_lane: Any
    ) -> None:
        then(work())


def duty_of(scratch: Scratch, resumed: Callable[[], None]) -> tuple[ScratchDuty, Any]:
    state = PilotState()
    context: Any = SimpleNamespace(
        launch=SimpleNamespace(scratch=scratch), workers=_AtOnce(), state=state, adopted=True,
        keepers=SimpleNamespace(all_connected=True), troubles={}, unseen={"scratch"},
        is_disk_full=False, folder=scratch.root.parent,
    )  # fmt: skip
    return ScratchDuty(cast("Context", context), resumed), context


@pytest.fixture
def seven_mib_free(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = SimpleNamespace(f_bavail=7 << 10, f_frsize=1 << 10)
    monkeypatch.setattr(os, "statvfs", lambda _: facts)


@pytest.mark.usefixtures("seven_mib_free")
def test_a_disk_that_cannot_be_used_is_the_node_s_trouble_until_it_can(tmp_path: Path) -> None:
    resumed: list[None] = []
    scratch = scratch_in(tmp_path / "disk")
    duty, context = duty_of(scratch, lambda: resumed.append(None))
    due = duty.tick(0.0)
    assert context.troubles["scratch"].text == (
        f"takes no jobs: they could not use their scratch folders in {scratch.root} (no such file or directory)"
    )
    (tmp_path / "disk").mkdir()
    assert not resumed
    duty.tick(due)
    assert context.troubles == {}
    assert len(resumed) == 1
    assert context.state.found.scratch_bytes == 7 << 20
    shutil.rmtree(tmp_path / "disk")
    with pytest.raises(NoScratch):
        scratch.lend()
    duty.tick(0.0)  # at once, not at the next check
    assert "scratch" in context.troubles


@pytest.mark.usefixtures("seven_mib_free")
def test_the_room_counts_what_was_promised_and_is_used_already(tmp_path: Path) -> None:
    scratch = scratch_in(tmp_path)
    used, more = Path(scratch.lend()), Path(scratch.lend())
    for folder in (used / "a/b", more):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "x").write_bytes(bytes(3 << 20))
    size = scratch_module.bytes_in(str(used))
    assert 3 << 20 <= size < 4 << 20
    promised = {str(used): 1 << 40, str(more): 1 << 20}
    assert scratch.room(promised) == (7 << 20) + size + (1 << 20)
    assert scratch_module.bytes_in(f"{tmp_path}/none") == 0


def test_what_an_earlier_agent_has_left_is_removed_but_not_from_living_attempts(
    tmp_path: Path,
) -> None:
    earlier = scratch_in(tmp_path, OTHER)
    living, dead = earlier.lend(), earlier.lend()
    for folder in (living, dead):
        write(Path(folder))
    duty, context = duty_of(scratch_in(tmp_path), lambda: None)
    note = SimpleNamespace(scratch=living, request=Request())
    context.state.attempts["3/17"] = SimpleNamespace(phase=Phase.RUNNING, note=note)
    duty.tick(0.0)
    duty.finish()
    assert names(earlier.root) == {Path(living).name}
