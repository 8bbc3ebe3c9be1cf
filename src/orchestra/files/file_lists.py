"""Data sets of files that are named one by one, and reading a data set's files again."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from orchestra.domain import file_choice
from orchestra.domain.errors import BadInput
from orchestra.domain.human import listed, one_line
from orchestra.domain.models.datasets import USUAL, DataSet, FileChoice, Manifest
from orchestra.domain.naming import natural_key
from orchestra.domain.wording import Field, words
from orchestra.files import fs_health, local_machine
from orchestra.files.listing import check_path_text, skipped_sentence
from orchestra.files.manifest import Progress, absolute, read_files, scan

AnyPath = str | os.PathLike[str]
_ASKED = 16
"""Folders of a list whose file systems are asked whether they answer; each takes a process."""
_NAMED = 3
"""Files that a sentence names."""


def of_paths(
    paths: Sequence[AnyPath], progress: Progress | None = None, choice: FileChoice = USUAL
) -> Manifest:
    """Return the manifest of one folder, of one file, or of several files and no others.

    Several files belong to the folder that they have in common, and are in natural order of their paths below it. Of
    these, too, leftovers are skipped, since a shell's `*` names them.

    Raises:
        BadInput: a path does not exist, is named twice, or is a folder among files; the files cannot be registered.
    """
    if not paths:
        raise BadInput("no file was named for the data set.")
    folders = dict.fromkeys(os.path.dirname(path) or "." for path in paths)  # noqa: PTH120 - of texts and paths
    fs_health.check(*islice(folders, _ASKED))
    _refuse_patterns(paths)
    if len(paths) == 1:
        return scan(paths[0], progress, choice)
    found = [absolute(os.fspath(path)) for path in paths]
    _check_list(found, choice)
    root = os.path.commonpath([os.path.dirname(path) for path in found])  # noqa: PTH120 - they are texts
    if root == "/":
        raise BadInput(
            f"{found[0]} and the others have no folder in common but /, which would be that of the data set.",
            hint="Copy them into one folder.",
        )
    names = [path.removeprefix(f"{root}/") for path in found]
    return _of_list(root, names, progress, replace(choice, listed=True))


def again(
    dataset: DataSet,
    listed_files: Iterable[str] = (),
    progress: Progress | None = None,
    *,
    choice: FileChoice | None = None,
    paths: Sequence[AnyPath] = (),
) -> Manifest:
    """Return the present files of a data set, those of the same list or chosen by the same patterns as before.

    Args:
        listed_files: for a data set with a list, the paths of its files below its root.
        choice: chooses files instead.
        paths: other files, or another folder, instead.

    Raises:
        BadInput: none of them exists any more, or they cannot be registered.
    """
    if paths:
        is_folder = len(paths) == 1 and Path(paths[0]).is_dir()
        as_before = replace(dataset.choice, listed=False) if is_folder else USUAL
        return of_paths(paths, progress, choice or as_before)
    if dataset.choice.listed:
        return _list_again(dataset, list(listed_files), progress, choice or dataset.choice)
    return scan(_place(dataset), progress, choice or dataset.choice)


def _list_again(
    dataset: DataSet, names: Sequence[str], progress: Progress | None, choice: FileChoice
) -> Manifest:
    root = _place(dataset)
    fs_health.check(root)
    missing = [name for name in names if not Path(root, name).exists()]
    if len(missing) == len(names):
        raise BadInput(f"none of the files in the list of {dataset.name} exists in {root}.")
    gone = set(missing)
    found = _of_list(
        root,
        [name for name in names if name not in gone],
        progress,
        replace(choice, listed=True),
    )
    return replace(found, missing=tuple(missing))


def _place(dataset: DataSet) -> str:
    """Return where a data set's files are on this machine.

    Raises:
        BadInput: they were uploaded from another machine.
    """
    if dataset.source is None:
        return dataset.root
    host, _, path = dataset.source.partition(":")
    if host != local_machine.host():
        raise BadInput(
            f"the files of {dataset.name} were uploaded from {host}, where they are in {path}.",
            hint=words("Run this there, or name other files with ", Field.PATH, "."),
        )
    return path


def _of_list(
    root: str, names: Iterable[str], progress: Progress | None, choice: FileChoice
) -> Manifest:
    file_choice.check(choice)
    taken = [name for name in names if file_choice.takes(choice, name)]
    skipped = {name for name in taken if file_choice.skips(choice, name, is_folder=False)}
    kept = [name for name in taken if name not in skipped]
    skipped.update(file_choice.companions(choice, kept, kept))
    kept = sorted((name for name in kept if name not in skipped), key=natural_key)
    left_out = tuple(sorted(skipped, key=natural_key))
    if not kept:
        raise BadInput(
            "none of the files is left for the data set.", hint=skipped_sentence(left_out)
        )
    return replace(read_files(root, kept, progress), skipped=left_out, choice=choice)


def _refuse_patterns(paths: Sequence[AnyPath]) -> None:
    """Refuse a pattern that the shell has left as it is."""
    for path in (os.fspath(each) for each in paths):
        if re.search(r"[*?\[]", path) and not os.path.lexists(path):
            raise BadInput(
                f"no file matches {one_line(path)}.",
                hint=words("A folder and ", Field.INCLUDE, " choose its files by a pattern."),
            )


def _check_list(paths: Sequence[str], choice: FileChoice) -> None:
    for path in paths:
        check_path_text(path)
    hint = None
    if choice.include or choice.exclude:
        hint = "Put quotes around patterns, or the shell replaces them with files that match."
    if twice := [path for path, times in Counter(paths).items() if times > 1]:
        raise BadInput(f"{twice[0]} is named twice.", hint=hint)
    if missing := [path for path in paths if not os.path.lexists(path)]:
        is_one = len(missing) == 1
        raise BadInput(
            f"there {'is no file' if is_one else 'are no files'} {listed(missing, most=_NAMED)}.",
            hint=hint,
        )
    if folders := [path for path in paths if os.path.isdir(path)]:  # noqa: PTH112 - of many paths
        raise BadInput(
            f"{folders[0]} is a folder among files.",
            hint=hint or "Name one folder alone, for all of its files, or only files.",
        )
