"""The configs of a task by the numbers of its jobs, and what becomes of them when its files have changed. Pure.

A job keeps its number by the path of its config. New files get the next numbers. The number of a file that is gone
stays with it: its job is *removed*, and comes back with the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from os.path import commonpath
from pathlib import PurePosixPath

from orchestra.domain.errors import BadInput


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A config: its absolute path, its checksum (None for an older task's output), and where it is registered.

    `place` is a version of a data set, and the file's index there; `root` is the folder of that version.
    """

    path: str
    sha256: bytes | None
    place: tuple[int, int]
    root: str


@dataclass(frozen=True, slots=True)
class Rejoined:
    """The configs by job number, as they will be, and what has changed: the numbers of jobs, in order."""

    configs: tuple[ConfigFile, ...]
    changed: tuple[int, ...] = ()
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    returned: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything has changed."""
        return bool(self.changed or self.added or self.removed or self.returned)

    @property
    def folder(self) -> str:
        """The folder that all configs are below."""
        return commonpath({config.root for config in self.configs})


UNCHANGED = Rejoined(())
"""Of a list that was not read, because its files cannot have changed."""


def rejoin(
    old: Sequence[ConfigFile],
    gone: frozenset[int],
    new: Iterable[ConfigFile],
    moved: tuple[str, str] | None = None,
) -> Rejoined:
    """Give the files that a task reads now their numbers.

    Args:
        old: its configs by number, those of removed jobs too.
        gone: the numbers of its removed jobs.
        new: all files that it reads now, each path once.
        moved: the former and the present folder of a data set that has moved.
    """
    now = {file.path: file for file in new}
    configs = list[ConfigFile]()
    changed, removed, returned = list[int](), list[int](), list[int]()
    for number, before in enumerate(old):
        found = now.pop(_now_at(before.path, moved), None) or now.pop(before.path, None)
        configs.append(found or before)
        if found is None:
            if number not in gone:
                removed.append(number)
        elif number in gone:
            returned.append(number)
        elif found.sha256 != before.sha256:
            changed.append(number)
    added = [number for number, _ in zip(count(len(old)), now, strict=False)]
    return Rejoined(
        (*configs, *now.values()), tuple(changed), tuple(added), tuple(removed), tuple(returned)
    )


def _now_at(path: str, moved: tuple[str, str] | None) -> str:
    if moved is None or not path.startswith(f"{moved[0]}/"):
        return path
    return moved[1] + path.removeprefix(moved[0])


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of a list are: the folder of all, and that of each version below it ("" or "grid/")."""

    root: str
    folders: Mapping[int, str]


def layout(configs: Iterable[ConfigFile]) -> Layout:
    """Return the layout of a list of files that are registered in several versions.

    Raises:
        BadInput: they have no folder in common except that of the whole file system.
    """
    roots = {config.place[0]: config.root for config in configs}
    folder = commonpath(roots.values())
    if folder == "/":
        first, *_, last = sorted(roots.values())
        raise BadInput(
            f"{first} and {last} have no folder in common but /.",
            hint="Copy the files below one folder.",
        )
    below = {
        version: "" if root == folder else f"{PurePosixPath(root).relative_to(folder)}/"
        for version, root in roots.items()
    }
    return Layout(folder, below)


def is_whole(configs: Sequence[ConfigFile], version: int) -> bool:
    """Whether a list is that of a version, in its order, so that the task needs no list of its own."""
    return all(config.place == (version, number) for number, config in enumerate(configs))
