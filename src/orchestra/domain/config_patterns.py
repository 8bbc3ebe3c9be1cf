"""Patterns of configs' paths, as regular expressions for the database. Pure.

The rule is that of `dataset create --include` (`file_choice.py`): a pattern is a glob of names, `*.yaml`, or of paths
below the data set's folder, `model/*.yaml`, in which `*` stays within a name and `**` stands for any folders. A pattern
that matches a folder stands for everything in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.storable import LONGEST_PATH, check_text

_TOKEN = re.compile(r"\[(!?)(\]?[^\]]*)\]|\*+|.", re.DOTALL)
_ANY_FOLDERS = "(?:.*/)?"
_MOST_ANY = 5
"""PostgreSQL takes seconds for the expression of a pattern with hundreds of them."""


def as_regex(pattern: str) -> str:
    """Return a regular expression that PostgreSQL and Python understand alike, for the whole path of a config.

    Raises:
        BadInput: the pattern can match nothing.
    """
    check_text("a pattern", pattern, most=LONGEST_PATH)
    once = re.sub(r"(?:(?<=/)|^)(?:\*\*/)+", "**/", pattern.removeprefix("./").rstrip("/"))
    parts = once.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise BadInput(
            f'"{one_line(pattern)}" is not a pattern of paths below the data set\'s folder.',
            hint="For example *.yaml, or model/*.yaml.",
        )
    if len(parts) == 1 and "/" not in pattern.rstrip("/"):
        parts.insert(0, "**")
    if parts.count("**") > _MOST_ANY:
        raise BadInput(f'"{one_line(pattern)}" has more than {_MOST_ANY} times **.')
    return f"^{''.join(_joined(parts))}(?:/.*)?$"


def _joined(parts: list[str]) -> Iterator[str]:
    *folders, last = parts
    for folder in folders:
        yield _ANY_FOLDERS if folder == "**" else f"{_name(folder)}/"
    yield ".*" if last == "**" else _name(last)


def _name(glob: str) -> str:
    return "".join(map(_piece, _TOKEN.finditer(glob)))


def _piece(token: re.Match[str]) -> str:
    text = token[0]
    if text.startswith("*"):
        return "[^/]*"
    if text == "?":
        return "[^/]"
    if token[2] is None:
        return _literal(text)
    return _bracket(token[2], inverted=bool(token[1]))


def _bracket(inside: str, *, inverted: bool) -> str:
    members = "".join(
        f"{_literal(low)}-{_literal(high)}" if high else _literal(low)
        for low, high in re.findall(r"(.)(?:-(.))?", inside, re.DOTALL)
        if not high or low <= high
    )
    if inverted:
        return f"[^/{members}]"
    return f"[{members}]" if members else "(?!)"


def _literal(letter: str) -> str:
    return letter if letter.isalnum() or letter == "_" or not letter.isascii() else f"\\{letter}"
