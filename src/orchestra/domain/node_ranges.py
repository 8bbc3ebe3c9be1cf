"""Many nodes in one word, as in Slurm's host lists: `gpu[01-12]`, `gpu[1,3,7-9]`, `r[1-2]n[01-16],login`. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import product
from math import prod

from orchestra.domain.errors import BadInput
from orchestra.domain.human import number, one_line

MOST = 1_000
"""Nodes in one word: more are likely a typing error."""

_AT_COMMAS = re.compile(r",(?![^\[\]]*\])")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_LAST_NUMBER = re.compile("(.*?)([0-9]{1,18})([^0-9]*)")
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


def expand(text: str) -> tuple[str, ...]:
    """Return the names that a word stands for, in order; a word without brackets and commas stands for itself.

    Numbers are padded with zeros like the first one of their range: [08-10] is 08, 09, 10.

    Raises:
        BadInput: brackets do not match, a range is none, a name is empty or occurs twice, or there are too many.
    """
    patterns = [_pattern(text, part) for part in _AT_COMMAS.split(text)]
    _check_count(text, sum(prod(map(len, pattern)) for pattern in patterns))
    names = ["".join(parts) for pattern in patterns for parts in product(*pattern)]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise BadInput(f'"{one_line(text)}" names {one_line(name)} twice.')
    if "" in names and len(names) > 1:
        raise BadInput(f'"{one_line(text)}" has a comma without a name beside it.')
    return tuple(names)


def squeeze(names: Iterable[str]) -> str:
    """Return names in one word that `expand` reads as the same ones: `gpu[01-03,07],login`."""
    runs: dict[tuple[str, str, bool], list[list[str]]] = {}
    for stem, digits, end in sorted(map(_parts, names), key=_by_number):
        found = runs.setdefault((stem, end, not digits), [])
        if found and _follows(found[-1], digits):
            found[-1].append(digits)
        else:
            found.append([digits])
    return ",".join(_in_brackets(stem, found, end) for (stem, end, _), found in runs.items())


def _parts(name: str) -> tuple[str, str, str]:
    """Split a name at its last number."""
    found = _LAST_NUMBER.fullmatch(name)
    return (found[1], found[2], found[3]) if found else (name, "", "")


def _by_number(parts: tuple[str, str, str]) -> tuple[str, str, int, int]:
    stem, digits, end = parts
    return stem, end, int(digits or 0), len(digits)


def _follows(run: list[str], digits: str) -> bool:
    """Whether a number extends a range, written as the range would count on."""
    width = len(run[0]) if run[0].startswith("0") else 0
    return bool(run[-1] and digits) and digits == f"{int(run[-1]) + 1:0{width}}"


def _in_brackets(stem: str, runs: list[list[str]], end: str) -> str:
    words = [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return stem + (words[0] if words == [runs[0][0]] else f"[{','.join(words)}]") + end


def _check_count(text: str, count: int) -> None:
    if count > MOST:
        raise BadInput(
            f'"{one_line(text)}" names {number(count)} nodes; at most {number(MOST)} can be named at once.'
        )


def _pattern(text: str, part: str) -> list[list[str]]:
    """Return the choices for each piece of a name: the texts beside brackets, and the numbers in them."""
    pieces = _BRACKETS.split(part)
    if any("[" in piece or "]" in piece for piece in pieces):
        raise BadInput(
            f'"{one_line(text)}" has a bracket without its counterpart.',
            hint="Several nodes are written like gpu[01-12] or gpu[1,3,7-9].",
        )
    return [_numbers(text, p) if place % 2 else [p] for place, p in enumerate(pieces)]


def _numbers(text: str, inside: str) -> list[str]:
    return [each for part in inside.split(",") for each in _range(text, part)]


def _range(text: str, part: str) -> list[str]:
    found = _RANGE.fullmatch(part)
    if not found:
        raise BadInput(
            f'"{one_line(text)}" has "{one_line(part)}" in brackets, where a number or a range like 01-12 is expected.'
        )
    first, last = found[1], found[2] or found[1]
    if int(last) < int(first):
        raise BadInput(f'"{one_line(text)}" has the range {part}, whose end is before its start.')
    _check_count(text, int(last) - int(first) + 1)
    width = len(first) if first.startswith("0") else 0
    return [f"{each:0{width}}" for each in range(int(first), int(last) + 1)]
