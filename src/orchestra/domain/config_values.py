"""The values that the configs of a sweep may hold, and how dotted names nest. Pure.

A dotted name is a nested value: `{"a.b": 1}` is `{"a": {"b": 1}}`, in every section and at every depth. A config holds
the types of JSON: null, booleans, numbers, strings, lists and mappings.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from orchestra.domain.errors import BadInput

LONGEST_NAME = 500
"""Characters. YAML reads no more than 1,024 before the colon."""


def plain(value: Any, where: str) -> Any:
    """Return a value as a config holds it, with dotted names nested and dates as text.

    Raises:
        BadInput: no config can hold it; the message says where.
    """
    if isinstance(value, Mapping):
        return nested(value, where)
    if isinstance(value, list | tuple):
        return [plain(each, where) for each in value]
    if isinstance(value, str):
        return _text(value, where)
    if value is None or isinstance(value, bool | int | float):
        return value
    if hasattr(value, "isoformat"):  # TOML has dates and times, JSON does not
        return value.isoformat()
    raise BadInput(
        f"{where}: a config cannot hold a value of type {type(value).__name__}.",
        hint="A config can hold null, true, false, numbers, strings, lists and mappings.",
    )


def nested(found: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Return a mapping with its dotted names nested.

    Raises:
        BadInput: a name is given twice, or names both a value and a mapping; the message says where.
    """
    made: dict[str, Any] = {}
    for key, value in found.items():
        name = str(key)
        check_name(name, where)
        *parents, last = name.split(".")
        _merge(_within(made, parents, name, where), last, plain(value, where), name, where)
    return made


def check_name(name: str, where: str) -> None:
    """Refuse a name that a config cannot have.

    Raises:
        BadInput: the message says why.
    """
    _text(name, where)
    if len(name) > LONGEST_NAME:
        raise BadInput(
            f'{where}: the name "{name[:20]}..." has {len(name)} characters; at most {LONGEST_NAME} are allowed.'
        )
    if not unicodedata.is_normalized("NFC", name):  # it may look equal to another name
        shown = name.encode("ascii", "backslashreplace").decode()
        raise BadInput(
            f'{where}: the name "{shown[:40]}" has accents as separate characters.',
            hint=f"Retype it: {unicodedata.normalize('NFC', name)[:40]}",
        )
    if not all(name.split(".")):
        raise BadInput(
            f'{where}: "{name}" is not a name.',
            hint="A dot separates the name of a mapping from the name of a value in it: optimizer.lr",
        )


def leaves(found: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name and the value of each leaf; an empty mapping is a leaf."""
    for key, value in found.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def parents(name: str) -> Iterator[str]:
    """Yield the names of the enclosing mappings: `a` and `a.b` for `a.b.c`."""
    for at, letter in enumerate(name):
        if letter == ".":
            yield name[:at]


def not_finite(value: Any) -> bool:
    """Whether the value is or contains an infinity or NaN, which JSON cannot hold."""
    if isinstance(value, Mapping):
        return any(map(not_finite, value.values()))
    if isinstance(value, list):
        return any(map(not_finite, value))
    return isinstance(value, float) and not math.isfinite(value)


def _within(made: dict[str, Any], names: list[str], name: str, where: str) -> dict[str, Any]:
    place = made
    for depth, each in enumerate(names, 1):
        below = place.setdefault(each, {})
        if not isinstance(below, dict):
            raise _is_value(".".join(names[:depth]), name, where)
        place = below
    return place


def _merge(place: dict[str, Any], key: str, value: Any, name: str, where: str) -> None:
    if key not in place:
        place[key] = value
        return
    there = place[key]
    if not isinstance(there, dict):
        if isinstance(value, dict):
            raise _is_value(name, f"{name}.{next(iter(value), '...')}", where)
        raise BadInput(f'{where}: "{name}" is given twice.')
    if not isinstance(value, dict):
        raise _is_value(name, f"{name}.{next(iter(there), '...')}", where)
    for each, below in value.items():
        _merge(there, each, below, f"{name}.{each}", where)


def _is_value(parent: str, name: str, where: str) -> BadInput:
    return BadInput(f'{where}: "{parent}" is a value, so "{name}" cannot be inside it.')


def _text(value: str, where: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        shown = value.encode("ascii", "backslashreplace").decode()
        raise BadInput(f'{where}: "{shown[:40]}" cannot be written as UTF-8.') from None
    return value
