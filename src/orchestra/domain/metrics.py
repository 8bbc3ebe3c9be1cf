"""What a job says of its result in its metrics file, and what a config says: values by name, on one level. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.domain import documents
from orchestra.domain.documents import Unusable
from orchestra.domain.flat_values import flatten, is_finite
from orchestra.domain.human import size as in_bytes

TEXT_AT_MOST = 16_000
"""Bytes that are kept of a job's metrics; of JSON lines that is the last line's length, whatever the file's."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is kept: the text, and beside it the numbers by which jobs can be compared, as a JSON object."""

    text: str
    numbers: str


def of_config(name: str, content: bytes | str) -> dict[str, Any]:
    """Give what a config says. One that is called as if it held values has to; any other may.

    Raises:
        Unusable: it does not hold what its name says.
    """
    try:
        return _flat(documents.parse(name, content))
    except Unusable:
        if name.lower().endswith(documents.SUFFIXES):
            raise
        return {}


def of_text(name: str, content: str) -> dict[str, Any]:
    """Give what was kept of metrics as values; `name` is their file's.

    Raises:
        Unusable: there are none.
    """
    return _flat(documents.parse_last(name, content)[0])


def of_file(name: str, end: bytes, size: int) -> dict[str, Any]:
    """Give the values in a file of `size` bytes, of which `end` are the last, or all.

    Raises:
        Unusable: there are none, or the file is larger and does not consist of lines of JSON.
    """
    return _read(name, end, size)[0]


def to_keep(name: str, end: bytes, size: int) -> Metrics | None:
    """Give what is kept of a file of `size` bytes, of which `end` are the last; None where that are no values."""
    try:
        found, text = _read(name, end, size)
    except Unusable:
        return None
    return Metrics(text, _numbers(found)) if len(text.encode()) <= TEXT_AT_MOST else None


def _read(name: str, end: bytes, size: int) -> tuple[dict[str, Any], str]:
    if size <= len(end):
        found, text = documents.parse_last(name, end)
        return _flat(found), text
    _, *lines = end.rstrip().rsplit(b"\n", 2)  # the first of them is perhaps no whole line
    newline = b"\n" if end.endswith(b"\n") else b""
    try:
        if not lines or name.lower().endswith((".yaml", ".yml", ".toml")):
            raise Unusable
        found, text = documents.last_line(b"\n".join(lines) + newline)
        return _flat(found), text
    except Unusable:
        raise Unusable(f"has {in_bytes(size)}; at most {in_bytes(len(end))} is read") from None


def _flat(found: Any) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise Unusable("holds no names with values")
    try:
        return flatten(found)
    except ValueError as error:
        raise Unusable(str(error)) from None


def _numbers(found: Mapping[str, Any]) -> str:
    """Give the finite numbers as JSON, as many as take no more room than a text: names repeat what they stand in."""
    kept: list[str] = []
    left = TEXT_AT_MOST
    for name, value in found.items():
        # PostgreSQL has no NUL and no half of a character, in jsonb neither.
        if is_finite(value) and name.isprintable():
            pair = f"{json.dumps(name)}: {json.dumps(value)}"
            left -= len(pair) + 2
            if left < 0:
                break
            kept.append(pair)
    return "{" + ", ".join(kept) + "}"
