"""Removing folders: through no link, past what cannot go, however deep; and again until it is done."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from orchestra.files import tree_removal
from orchestra.files.tree_removal import Removal
from support import mounts
from support.ordinary import Ordinary


def remove(path: Path) -> Removal:
    found = Removal()
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        gone = tree_removal.remove(path.name, parent, str(path), found)
    finally:
        os.close(parent)
    assert gone is found.complete is not path.exists()
    return found


@pytest.fixture
def tree(hostile_dir: Path) -> Path:
    made = hostile_dir / "1"
    for name in ("a/b", "a/c", "d"):
        (made / name).mkdir(parents=True)
        (made / name / "it's $(x)").write_bytes(b"x" * 100)
    return made


def test_all_of_it_goes(tree: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"x" * 1000)
    (tree / "link").symlink_to(precious)
    (tree / "to folder").symlink_to(tmp_path)
    os.mkfifo(tree / "pipe")
    assert remove(tree).bytes == 300 + len(str(precious)) + len(str(tmp_path))
    assert precious.exists()
    assert remove(tree) == Removal()  # once more


def test_a_link_in_its_place_is_not_followed(tree: Path, tmp_path: Path) -> None:
    link = tmp_path / "1"
    link.symlink_to(tree)
    found = remove(link)
    assert list(found.reasons.values()) == [str(link)]
    assert (tree / "a" / "b").exists()


def test_folders_however_deep_go_with_few_descriptors(tmp_path: Path) -> None:
    tree = tmp_path / "1"
    tree.mkdir()
    here = os.open(tree, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("in", dir_fd=here)
        below = os.open("in", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert remove(tree).complete


_SCRIPT = """
import dataclasses, json, os
from pathlib import Path
from orchestra.files import tree_removal
tree = Path({tree!r})
for mode, name in ((0o555, "a/b"), (0o000, "a/c"), (0o111, "a")):
    if (tree / name).exists():
        (tree / name).chmod(mode)
tree.chmod(0o500)
found = tree_removal.Removal()
gone = tree_removal.remove("1", os.open(tree.parent, os.O_RDONLY), "/shown/1", found)
print(json.dumps([gone, dataclasses.asdict(found)]))
"""


@pytest.mark.needs("root")
def test_own_folders_are_made_accessible_and_others_are_reported(
    ordinary: Ordinary, tmp_path: Path
) -> None:
    tree = ordinary.home / "1"
    for name in ("a/b", "a/c", "d"):
        (tree / name).mkdir(parents=True)
        (tree / name / "file").write_bytes(b"x" * 100)
    for path in (tree, *tree.rglob("*")):
        os.chown(path, ordinary.uid, ordinary.gid)
    (tree / "d" / "root's").mkdir()
    (tree / "d" / "root's" / "file").write_bytes(b"x" * 1000)
    script = _SCRIPT.format(tree=str(tree))
    for _ in range(2):
        gone, found = json.loads(ordinary.python(script).stdout)
        assert not gone
        assert found["reasons"] == {"Permission denied": "/shown/1/d/root's/file"}
        assert (found["left_files"], found["left_bytes"], found["left_folders"]) == (1, 1000, 3)
        assert sorted(p.name for p in tree.rglob("*")) == ["d", "file", "root's"]
    os.chown(tree / "d" / "root's", ordinary.uid, ordinary.gid)
    gone, found = json.loads(ordinary.python(script).stdout)
    assert gone
    assert found["bytes"] == 1000
    assert not tree.exists()


@pytest.mark.needs("root")
def test_what_is_mounted_in_it_stays(tree: Path) -> None:
    (tree / "mount").mkdir()
    with mounts.small(tree / "mount", "size=1m"):
        (tree / "mount" / "file").write_text("precious")
        found = remove(tree)
        assert found.reasons == {"it is on another file system": str(tree / "mount")}
        assert (tree / "mount" / "file").exists()
        assert os.listdir(tree) == ["mount"]


def test_no_folder_that_is_exchanged_for_a_link_leads_elsewhere(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    over = threading.Event()
    tree = tmp_path / "1"
    tree.mkdir()

    def swap() -> None:
        while not over.is_set():
            with suppress(OSError):
                (tree / "in").mkdir(parents=True)
                (tree / "in" / "file").write_text("")
                (tree / "in").rename(tree / "aside")
                (tree / "in").symlink_to(precious)
                (tree / "in").unlink()
                (tree / "aside").rename(tree / "in")

    thread = threading.Thread(target=swap)
    thread.start()
    for _ in range(500):
        parent = os.open(tmp_path, os.O_RDONLY)
        tree_removal.remove("1", parent, str(tree), Removal())
        os.close(parent)
    over.set()
    thread.join()
    assert (precious / "file").read_text() == "mine"
