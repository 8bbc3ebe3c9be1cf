"""A job keeps its number by the path of its config, whatever happens to the files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import config_lists
from orchestra.domain.config_lists import ConfigFile, Layout, Rejoined, rejoin
from orchestra.domain.errors import BadInput

folders = st.dictionaries(st.sampled_from("abcdefghij"), st.binary(min_size=1, max_size=1))


def files(folder: dict[str, bytes], version: int = 1, root: str = "/grid") -> list[ConfigFile]:
    return [
        ConfigFile(f"{root}/{name}", sha, (version, place), root)
        for place, (name, sha) in enumerate(sorted(folder.items()))
    ]


def paths(found: Rejoined) -> list[str]:
    return [config.path for config in found.configs]


def test_what_has_changed_is_said_by_number() -> None:
    old = files({"a": b"1", "b": b"2", "c": b"3"})
    found = rejoin(old, frozenset({1}), files({"0": b"0", "a": b"1", "b": b"2", "c": b"4"}, 2))
    assert paths(found) == ["/grid/a", "/grid/b", "/grid/c", "/grid/0"]
    assert (found.changed, found.added, found.removed, found.returned) == ((2,), (3,), (), (1,))
    assert [config.place for config in found.configs] == [(2, 1), (2, 2), (2, 3), (2, 0)]


def test_the_number_of_a_removed_file_stays_with_it() -> None:
    found = rejoin(files({"a": b"1", "b": b"2"}), frozenset(), files({"b": b"2", "c": b"3"}, 2))
    assert paths(found) == ["/grid/a", "/grid/b", "/grid/c"]
    assert (found.removed, found.added) == ((0,), (2,))
    assert found.configs[0].place == (1, 0)


def test_a_data_set_that_has_moved_keeps_its_numbers() -> None:
    old = files({"a": b"1", "b": b"2"})
    new = files({"0": b"0", "a": b"1", "b": b"2"}, root="/new")
    extra = ConfigFile("/grid/c", b"3", (3, 0), "/grid")
    found = rejoin([*old, extra], frozenset(), [*new, extra], ("/grid", "/new"))
    assert (found.changed, found.removed, found.added) == ((), (), (3,))
    assert paths(found) == ["/new/a", "/new/b", "/grid/c", "/new/0"]


@given(st.lists(folders, min_size=1, max_size=6))
def test_numbers_stay_by_path_through_any_history(history: list[dict[str, bytes]]) -> None:
    configs: tuple[ConfigFile, ...] = ()
    gone: frozenset[int] = frozenset()
    numbers: dict[str, int] = {}
    for version, folder in enumerate(history):
        present = {f"/grid/{name}" for name in folder}
        before = {config.path: config.sha256 for config in configs}
        found = rejoin(configs, gone, files(folder, version))
        gone = (gone | frozenset(found.removed)) - frozenset(found.returned)
        for number, config in enumerate(found.configs):
            assert numbers.setdefault(config.path, number) == number
            assert (number in gone) is (config.path not in present)
            if number in found.changed:
                assert config.sha256 != before[config.path]
        assert len(numbers) == len(found.configs)
        assert found.added == tuple(range(len(configs), len(found.configs)))
        assert present == {c.path for n, c in enumerate(found.configs) if n not in gone}
        configs = found.configs


def test_files_of_several_folders_lie_below_a_common_one() -> None:
    grid, more = files({"a": b"1"}, 1, "/data/grid"), files({"b": b"2"}, 2, "/data/more/b c")
    assert config_lists.layout([*grid, *more]) == Layout("/data", {1: "grid/", 2: "more/b c/"})
    assert config_lists.layout(grid) == Layout("/data/grid", {1: ""})
    inside = files({"b": b"2"}, 2, "/data/grid/sub")
    assert config_lists.layout([*grid, *inside]) == Layout("/data/grid", {1: "", 2: "sub/"})
    with pytest.raises(BadInput, match="no folder in common"):
        config_lists.layout([*grid, *files({"c": b"3"}, 3, "/home/ana")])


def test_a_list_in_the_order_of_its_data_set_is_that_of_the_data_set() -> None:
    new = files({"a": b"1", "b": b"2"}, 2)
    assert config_lists.is_whole(rejoin(files({"a": b"0"}), frozenset(), new).configs, 2)
    assert not config_lists.is_whole(rejoin(files({"b": b"0"}), frozenset(), new).configs, 2)
