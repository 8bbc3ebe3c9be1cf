"""The values in jobs' metrics files and in configs, by dotted name. Pure."""

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
"""The database keeps metrics up to so many bytes. Of JSON lines only the last line counts."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What the database keeps: the text, and the numbers in it as a JSON object."""

    text: str
    numbers: str


def of_config(name: str, content: bytes | str) -> dict[str, Any]:
    """Parse a config. Files without a known extension may hold no values.

    Raises:
        Unusable: its extension is known, and it does not hold such values.
    """
    try:
        return _flat(documents.parse(name, content))
    except Unusable:
        if name.lower().endswith(documents.SUFFIXES):
            raise
        return {}


def of_text(name: str, content: str) -> dict[str, Any]:
    """Parse stored metrics; `name` is their file's.

    Raises:
        Unusable: there are none.
    """
    return _flat(documents.parse_last(name, content)[0])


def of_file(name: str, end: bytes, size: int) -> dict[str, Any]:
    """Parse a file of `size` bytes, of which `end` are the last ones, or all.

    Raises:
        Unusable: it holds no values, or is larger than `end` and does not consist of JSON lines.
    """
    return _read(name, end, size)[0]


def to_keep(name: str, end: bytes, size: int) -> Metrics | None:
    """What to store of a file of `size` bytes, of which `end` are the last ones; None if that holds no values."""
    try:
        found, text = _read(name, end, size)
    except Unusable:
        return None
    return Metrics(text, _numbers(found)) if len(text.encode()) <= TEXT_AT_MOST else None


def _read(name: str, end: bytes, size: int) -> tuple[dict[str, Any], str]:
    if size <= len(end):
        found, text = documents.parse_last(name, end)
        return _flat(found), text
    _, *lines = end.rstrip().rsplit(b"\n", 2)  # the first may be incomplete
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
        raise Unusable("does not hold named values")
    try:
        return flatten(found)
    except ValueError as error:
        raise Unusable(str(error)) from None


def _numbers(found: Mapping[str, Any]) -> str:
    """The finite numbers as JSON, limited like the text: dotted names repeat their parents."""
    kept: list[str] = []
    left = TEXT_AT_MOST
    for name, value in found.items():
        # PostgreSQL's jsonb has neither NUL nor lone surrogates.
        if is_finite(value) and name.isprintable():
            pair = f"{json.dumps(name)}: {json.dumps(value)}"
            left -= len(pair) + 2
            if left < 0:
                break
            kept.append(pair)
    return "{" + ", ".join(kept) + "}"
