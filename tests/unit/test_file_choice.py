"""Which files of a folder belong to a data set: patterns, what is skipped, and lists of files."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestra.command_words import hint_of, message_of
from orchestra.domain import file_choice
from orchestra.domain.errors import BadInput
from orchestra.domain.models.datasets import USUAL, DataSet, FileChoice, Manifest
from orchestra.files.file_lists import again, of_paths
from orchestra.files.manifest import unregistered

HYDRA = (
    "__init__.py", "README.md", "config.yaml", "config.yaml~", ".gitignore", ".ipynb_checkpoints/config.yaml",
    "__pycache__/__init__.cpython-311.pyc", "model/mlp.yaml", "model/cnn.yaml", "model/README.md",
    "model/.#cnn.yaml", "model/#cnn.yaml#", "model/old/mlp.yaml.orig", "optimizer/adam.yaml",
    "optimizer/__init__.py", "optimizer/.DS_Store",
)  # fmt: skip
CONFIGS = ["config.yaml", "model/cnn.yaml", "model/mlp.yaml", "optimizer/adam.yaml"]


def make(folder: Path, names: Iterable[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def paths(found: Manifest) -> list[str]:
    return [entry.path for entry in found.entries]


def refusal(*named: Path, choice: FileChoice = USUAL) -> tuple[str, str | None]:
    with pytest.raises(BadInput) as caught:
        of_paths(named, choice=choice)
    return message_of(caught.value), hint_of(caught.value)


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("*.yaml", ["a.yaml", "x/y/b.yaml", ".a.yaml"], ["a.yaml~", "yaml", "a.YAML"]),
        ("model/*.yaml", ["model/a.yaml"], ["a.yaml", "x/model/a.yaml", "model/x/a.yaml"]),
        ("**/model/*.yaml", ["model/a.yaml", "x/y/model/a.yaml"], ["model/x/a.yaml"]),
        ("model/**/a?.yaml", ["model/a1.yaml", "model/x/y/a2.yaml"], ["a1.yaml", "model/a.yaml"]),
        ("old", ["old", "old/a", "x/old/y/a"], ["older", "x/bold/a"]),
        ("x/old/", ["x/old/a", "x/old/y/a"], ["old/a", "x/older/a"]),
        ("./a[0-2]", ["a1"], ["x/a1", "a3"]),
        ("a b'é*", ["a b'é (1)"], ["a b"]),
        ("a[*]*[!x]?.[z-a^]", [], ["a*b/.^", "a"]),
        ("[*^a]b*.y", ["*b.y", "^bb.y.y", "x/ab1.y"], ["b.y", "cb.y", "ab.yy"]),
        ("a[!b]c", ["axc"], ["a/c", "abc", "ac"]),
        ("(a|b)+$.{1}", ["(a|b)+$.{1}"], ["aa.x"]),
        ("**", ["a", "b/c"], []),
    ],
)
def test_patterns(pattern: str, matches: list[str], others: list[str]) -> None:
    for choice, expected in (
        (FileChoice(include=(pattern,)), (True, False)),
        (FileChoice(exclude=(pattern,)), (False, True)),
    ):
        file_choice.check(choice)
        assert [file_choice.takes(choice, path) for path in matches] == [expected[0]] * len(matches)
        assert [file_choice.takes(choice, path) for path in others] == [expected[1]] * len(others)


def test_many_stars_take_no_longer() -> None:
    choice = FileChoice(include=("*a" * 60 + "*b",))
    began = time.monotonic()
    assert not file_choice.takes(choice, "a" * 200)
    assert file_choice.takes(choice, "a" * 200 + "b")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("*.{yaml,json}", '--include "*.{yaml,json}" has braces, which are not expanded.'),
        ("/data/*.yaml", '--include "/data/*.yaml" is not a pattern of paths below the folder.'),
        ("../*", '--include "../*" is not a pattern of paths below the folder.'),
        ("", '--include "" is not a pattern of paths below the folder.'),
        ("a\0", "a pattern has a NUL character."),
    ],
)
def test_patterns_that_match_nothing_are_refused(pattern: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        file_choice.check(FileChoice(include=(pattern,)))
    assert message_of(caught.value) == says


def test_a_choice_is_kept_as_json() -> None:
    for choice in (USUAL, FileChoice(("*.a",), ("b", "c"), True), FileChoice(listed=True)):
        assert file_choice.from_json(file_choice.as_json(choice)) == choice
    assert file_choice.as_json(USUAL) is None
    assert file_choice.from_json({"listed": True, "of_later": 1}) == FileChoice(listed=True)


def test_a_folder_of_configs_gives_its_configs(tmp_path: Path) -> None:
    found = of_paths([make(tmp_path, HYDRA)])
    assert paths(found) == CONFIGS
    assert found.skipped == (
        ".gitignore", ".ipynb_checkpoints/", "README.md", "__init__.py", "__pycache__/", "config.yaml~",
        "model/#cnn.yaml#", "model/.#cnn.yaml", "model/README.md", "model/old/mlp.yaml.orig", "optimizer/.DS_Store",
        "optimizer/__init__.py",
    )  # fmt: skip
    assert len(of_paths([tmp_path], choice=FileChoice(all_files=True)).entries) == len(HYDRA)


def test_patterns_choose_among_the_files_of_a_folder(tmp_path: Path) -> None:
    folder = make(tmp_path, (*HYDRA, "notes.txt", "model/old/mlp.yaml"))
    found = of_paths([folder], choice=FileChoice(("*.yaml",), ("old", "optimizer/*")))
    assert (paths(found), found.skipped) == (CONFIGS[:3], ("model/.#cnn.yaml",))
    assert found.unmatched == ()
    (folder / "model/old/pipe").symlink_to("nowhere")
    assert paths(of_paths([folder], choice=FileChoice(exclude=("old",))))[0] == "README.md"
    mistyped = FileChoice(("*.yaml", "*.yml"), ("odl", "optimizer"))
    assert of_paths([folder], choice=mistyped).unmatched == ("*.yml", "odl")
    message, hint = refusal(folder, choice=FileChoice(("*.yml",)))
    assert message.startswith(
        f'no file in {folder} remains with --include "*.yml"; it has README.md and '
    )
    assert hint
    assert refusal(folder / "config.yaml", choice=FileChoice(("*.yml",)))[0].endswith("is a file.")


@pytest.mark.parametrize(
    ("names", "skipped"),
    [
        (("README", "a.json", "b.toml"), ("README",)),
        (("readme.txt", "README_en.md", "a.JSON"), ("README_en.md", "readme.txt")),
        (("README.md", "digits.npz", "labels.json"), ()),
        (("README.md", "__init__.py", "fit.py"), ("README.md",)),
        (("README.md",), ()),
        (("readme_parser.json", "a.json"), ()),
    ],
)
def test_a_readme_is_skipped_beside_configs_alone(
    tmp_path: Path, names: tuple[str, ...], skipped: tuple[str, ...]
) -> None:
    found = of_paths([make(tmp_path, names)])
    assert found.skipped == skipped
    assert {*paths(found), *skipped} == set(names)


def test_files_that_were_skipped_are_not_reported_as_unregistered(tmp_path: Path) -> None:
    found = of_paths([make(tmp_path, HYDRA)])
    assert unregistered(found.root, found.entries) == []
    make(tmp_path, ("model/new.yaml", "later.txt", "model/README.rst", "model/new.yaml~"))
    assert unregistered(found.root, found.entries) == ["later.txt", "model/new.yaml"]
    assert unregistered(found.root, found.entries, FileChoice(("*.txt",))) == ["later.txt"]
    assert unregistered(found.root, found.entries, FileChoice(listed=True)) == []


def test_a_list_has_only_its_files_in_natural_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(
        make(tmp_path, ("a10.yaml", "a2.yaml", "dir/c.yaml", "other.yaml", "a2.yaml~", ".env"))
    )
    found = of_paths([Path("dir/c.yaml"), "a10.yaml", tmp_path / "a2.yaml", "a2.yaml~", ".env"])
    assert (found.root, found.is_folder) == (str(tmp_path), True)
    assert paths(found) == [".env", "a2.yaml", "a10.yaml", "dir/c.yaml"]
    assert (found.skipped, found.choice) == (("a2.yaml~",), FileChoice(listed=True))
    assert of_paths(["dir/c.yaml", "dir/../dir/c.yaml~"][:1]).is_folder is False


def test_a_list_that_cannot_be_used_is_refused_in_one_sentence(tmp_path: Path) -> None:
    assert refusal() == ("no file was named for the data set.", None)
    folder = make(tmp_path, ("a", "b", "dir/c", "x~", "y~"))
    a, gone = folder / "a", folder / "gone"
    assert refusal(a, folder / "b", folder / "./a") == (f"{a} is named twice.", None)
    assert refusal(a, gone) == (f"there is no file {gone}.", None)
    assert refusal(a, folder / "x", gone)[0] == f"there are no files {folder}/x and {gone}."
    assert refusal(folder / "*.yml") == (
        f"no file matches {folder}/*.yml.",
        "A folder and --include choose its files by a pattern.",
    )
    assert refusal(a, folder / "dir")[0] == f"{folder}/dir is a folder among files."
    _, hint = refusal(folder / "dir", a, choice=FileChoice(include=("b",)))
    assert hint
    assert hint.startswith("Put quotes around patterns")
    assert refusal(folder / "x~", folder / "y~") == (
        "none of the files is left for the data set.",
        "Skipped x~ and y~; --all-files registers such files, too.",
    )
    assert "no folder in common but /" in refusal(a, Path("/etc/hostname"))[0]


def data_set(found: Manifest) -> DataSet:
    now = datetime.now(UTC)
    return DataSet(
        1,
        "user.ana.x",
        "ana",
        1,
        1,
        found.root,
        found.is_folder,
        len(found.entries),
        1,
        now,
        now,
        found.choice,
    )


def test_an_update_chooses_as_before(tmp_path: Path) -> None:
    folder = make(tmp_path, ("a.yaml", "b.yaml", "c.txt", "d.yaml"))
    before = of_paths([folder], choice=FileChoice(("*.yaml",)))
    make(folder, ("e.yaml", "f.txt"))
    assert paths(again(data_set(before))) == ["a.yaml", "b.yaml", "d.yaml", "e.yaml"]
    assert paths(again(data_set(before), choice=FileChoice(("*.txt",)))) == ["c.txt", "f.txt"]
    single = again(data_set(before), paths=[folder / "c.txt"])
    assert (single.is_folder, single.choice) == (False, USUAL)
    other = make(tmp_path / "other", ("x.yaml", "y.txt"))
    assert paths(again(data_set(before), paths=[other])) == ["x.yaml"]
    before = of_paths([folder / "a.yaml", folder / "b.yaml"])
    assert paths(again(data_set(before), paths=[other])) == ["x.yaml", "y.txt"]
    (folder / "b.yaml").unlink()
    found = again(data_set(before), paths(before))
    assert (paths(found), found.missing) == (["a.yaml"], ("b.yaml",))
    assert (found.root, found.choice) == (before.root, before.choice)
    (folder / "a.yaml").unlink()
    with pytest.raises(BadInput, match="none of the files in the list of user"):
        again(data_set(before), paths(before))
