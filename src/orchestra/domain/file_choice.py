"""Which files of a folder belong to a data set: patterns, and what is skipped unless all files are wanted. Pure.

A pattern is a glob of names, `*.yaml`, or of paths below the folder, `model/*.yaml`, in which `*` stays within a name
and `**` stands for any folders. A pattern that matches a folder stands for everything in it, as in .gitignore.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.models.datasets import USUAL, FileChoice
from orchestra.domain.storable import LONGEST_PATH, check_text
from orchestra.domain.wording import Field, words

MOST_PATTERNS = 1_000
_LEFTOVER = re.compile(
    r".*~|\.#.*|#.*#|.*\.(?:swp|swo|bak|orig|pyc)|\.DS_Store|Thumbs\.db|desktop\.ini",
    re.DOTALL | re.IGNORECASE,
)
"""Files that editors, Python and file managers leave behind."""
_README = re.compile(
    r"readme(?:[._-][^.]*)?(?:\.(?:md|markdown|txt|rst|org|adoc|html))?", re.IGNORECASE
)
_PACKAGE = "__init__.py"
_CACHE = "__pycache__"
_CONFIGS = frozenset(
    f".{ending}"
    for ending in (
        *("json", "json5", "jsonc", "yaml", "yml", "toml", "ini", "cfg", "conf", "properties"),
        *("xml", "gin", "jsonnet", "libsonnet", "hocon", "nml", "mac"),
    )
)
"""Endings of files that hold settings."""

_TOKEN = re.compile(r"(\*+)|(\?)|(\[!?\]?[^\]]*\])|(.)", re.DOTALL)
"""The parts of a pattern of one name."""
_NO_SLASH = "[^/]"
_FOLDERS = f"(?:{_NO_SLASH}+/)*"


def check(choice: FileChoice) -> FileChoice:
    """Return a choice whose patterns can be used.

    Raises:
        BadInput: a pattern can match nothing; the message says why.
    """
    for field, patterns in ((Field.INCLUDE, choice.include), (Field.EXCLUDE, choice.exclude)):
        if len(patterns) > MOST_PATTERNS:
            raise BadInput(words(field, f" has more than {MOST_PATTERNS:,} patterns."))
        for pattern in patterns:
            _check_pattern(field, pattern)
    return choice


def _check_pattern(field: Field, pattern: str) -> None:
    check_text("a pattern", pattern, most=LONGEST_PATH)
    what = f' "{one_line(pattern)}"'
    if re.search(r"\{[^{}]*,[^{}]*\}", pattern):
        raise BadInput(
            words(field, what, " has braces, which are not expanded."),
            hint=words("Name each pattern by itself: ", field, " can be repeated."),
        )
    parts = pattern.removeprefix("./").rstrip("/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise BadInput(
            words(field, what, " is not a pattern of paths below the folder."),
            hint="For example *.yaml, or model/*.yaml.",
        )


def excludes(choice: FileChoice, path: str) -> bool:
    """Whether a file or folder is excluded, so that a folder need not be read."""
    return _matches_any(choice.exclude, path)


def takes(choice: FileChoice, path: str) -> bool:
    """Whether the patterns of a choice allow a file, by its path below the folder."""
    wanted = not choice.include or _matches_any(choice.include, path)
    return wanted and not excludes(choice, path)


def unmatched(choice: FileChoice, names: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that match none of these files and folders."""
    left = [*choice.include, *choice.exclude]
    for name in names:
        if not left:
            break
        left = [pattern for pattern in left if not _matches_any((pattern,), name)]
    return tuple(left)


def skips(choice: FileChoice, path: str, *, is_folder: bool) -> bool:
    """Whether a file or folder is left out by default: hidden ones, caches, and what editors leave behind.

    A hidden file that was named in a list is meant.
    """
    if choice.all_files:
        return False
    name = path.rpartition("/")[2]
    if name.startswith(".") and not choice.listed:
        return True
    return name == _CACHE if is_folder else bool(_LEFTOVER.fullmatch(name))


def companions(choice: FileChoice, names: Iterable[str], beside: Iterable[str]) -> list[str]:
    """Return those of `names` that only accompany configs: READMEs, and the `__init__.py` of a package of configs.

    Args:
        beside: the files of the data set. A README among data or programs is one of them, and so is an `__init__.py`
            beside other Python files.
    """
    if choice.all_files:
        return []
    found = [name for name in names if _is_readme(name) or _is_package(name)]
    if not found:
        return []
    endings = {
        PurePosixPath(name).suffix.lower()
        for name in beside
        if not _is_readme(name) and not _is_package(name)
    }
    if not endings or not endings <= _CONFIGS | {".py"}:
        return []
    return [name for name in found if _is_readme(name) or ".py" not in endings]


def _is_readme(path: str) -> bool:
    return bool(_README.fullmatch(path.rpartition("/")[2]))


def _is_package(path: str) -> bool:
    return path.rpartition("/")[2] == _PACKAGE


def _matches_any(patterns: tuple[str, ...], path: str) -> bool:
    return bool(patterns) and _compiled(patterns).match(path) is not None


@cache
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_regular_expression, patterns)), re.DOTALL)


def _regular_expression(pattern: str) -> str:
    """Translate a pattern to a regular expression for paths, of the file itself or in a folder that matches."""
    bare = pattern.rstrip("/")
    *folders, last = bare.removeprefix("./").split("/")
    before = _FOLDERS if "/" not in bare else ""
    before += "".join(_FOLDERS if part == "**" else f"{_of_name(part)}/" for part in folders)
    return rf"{before}{_of_name(last)}(?:/.*)?\Z"


def _of_name(pattern: str) -> str:
    """Translate a pattern of one name. What follows a `*` is sought once, so that many of them take no longer."""
    chunks = [""]
    for star, question, brackets, char in _TOKEN.findall(pattern):
        if star:
            chunks.append("")
        elif brackets:
            one_of = fnmatch.translate(brackets).removesuffix(r"\Z").removesuffix(r"\z")
            chunks[-1] += f"(?!/){one_of}"
        else:
            chunks[-1] += _NO_SLASH if question else re.escape(char)
    first, *others = chunks
    if not others:
        return first
    *middle, last = others
    return first + "".join(f"(?>{_NO_SLASH}*?{chunk})" for chunk in middle) + f"{_NO_SLASH}*{last}"


def as_json(choice: FileChoice) -> dict[str, Any] | None:
    """Return a choice as the database keeps it; None for the usual one."""
    if choice == USUAL:
        return None
    return {
        "include": list(choice.include),
        "exclude": list(choice.exclude),
        "all_files": choice.all_files,
        "listed": choice.listed,
    }


def from_json(found: Mapping[str, Any] | None) -> FileChoice:
    """Return the choice of `as_json`; parts that are unknown to this version are ignored."""
    if found is None:
        return USUAL
    return FileChoice(
        tuple(found.get("include", ())),
        tuple(found.get("exclude", ())),
        bool(found.get("all_files")),
        bool(found.get("listed")),
    )
