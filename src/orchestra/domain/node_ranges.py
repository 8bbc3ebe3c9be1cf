"""Many nodes in one word, as in Slurm's host lists: `gpu[01-12]`, `gpu[1,3,7-9]`, `r[1-2]n[01-16],login`. Pure."""

from __future__ import annotations

import re
from collections import Counter
from itertools import product
from math import prod

from orchestra.domain.errors import BadInput
from orchestra.domain.human import number, one_line

MOST = 1_000
"""Nodes in one word: more are likely a typing error."""

_AT_COMMAS = re.compile(r",(?![^\[\]]*\])")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
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
