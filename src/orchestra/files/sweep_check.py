"""Checks of a sweep's configs before any is written: each must be read back as the values that were meant.

All numbers behave alike in a template, so one config for each text and for each set of names is enough.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestra.domain import documents, sweep_files
from orchestra.domain.documents import Unusable
from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import flatten
from orchestra.domain.sweeps import Point, Sweep
from orchestra.files import config_writer, sweep_parser

_FIRST_MARK = 7_310_000_000
"""A number that occurs in no template. Filled in for a value, it shows where the value is read back."""
_NO_SYNTAX = re.compile(r"[\w./~][\w ./+=@%();~-]*")
"""On other characters, YAML parsers differ."""
_QUOTES = 'Texts need quotes in the template: "name": "{{name}}"'
Path = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in a template that consists of one value. `quoted`: it is always read as text."""

    name: str
    quoted: bool


def template(sweep: Sweep, text: str, name: str, ending: str) -> None:
    """Fill in the values that may be misread, one after the other.

    Raises:
        BadInput: one of them makes the file invalid, or would be read as something else; the message says which.
    """
    write = config_writer.in_template(ending)
    reads = ending in documents.SUFFIXES
    places = _places(text, name, ending) if reads else {}
    for number, point in enumerate(_representative_points(sweep)):
        config = sweep.config(point)
        filled = sweep_files.fill(text, config, name, write)
        if not reads:
            continue
        try:
            found = documents.parse(f"config{ending}", filled)
        except Unusable as error:
            which = "its first values" if number == 0 else _shown(point)
            raise BadInput(f"the template {name} with {which} {error}.", hint=_QUOTES) from None
        _compare(places, flatten(config), found, name, ending)


def _representative_points(sweep: Sweep) -> Iterator[Point]:
    """Yield the first point, and one for each text and other value that may be misread."""
    first = [factor[0] for factor in sweep.factors]
    yield _joined(first)
    seen = set()
    for number, factor in enumerate(sweep.factors):
        for point in factor:
            key = tuple((name, None if _is_alike(v) else repr(v)) for name, v in point.items())
            if key not in seen:
                seen.add(key)
                yield _joined([*first[:number], point, *first[number + 1 :]])


def _joined(points: Sequence[Point]) -> Point:
    return dict(itertools.chain.from_iterable(point.items() for point in points))


def _is_alike(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _shown(point: Point) -> str:
    name, value = next(iter(point.items()))
    return (
        ", ".join(f"{n} {v!r}" for n, v in point.items() if not _is_alike(v)) or f"{name} {value}"
    )


def _places(text: str, name: str, ending: str) -> dict[Path, _Place]:
    """Find the places of a template that consist of one value; none if it accepts only certain values."""
    names = sorted(sweep_files.placeholders(text))
    marks = {each: _FIRST_MARK + number for number, each in enumerate(names)}
    try:
        marked = sweep_files.fill(text, marks, name)
        found = dict(_leaves(documents.parse(f"config{ending}", marked)))
    except Unusable:
        return {}
    of = {str(mark): each for each, mark in marks.items()}
    return {
        path: _Place(of[str(value)], isinstance(value, str))
        for path, value in found.items()
        if str(value) in of
    }


def _leaves(found: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(found, Mapping | list):
        pairs = found.items() if isinstance(found, Mapping) else enumerate(found)
        for key, value in pairs:
            yield from _leaves(value, (*path, key))
    else:
        yield path, found


def _compare(
    places: Mapping[Path, _Place], values: Mapping[str, Any], found: Any, name: str, ending: str
) -> None:
    write = config_writer.in_template(ending)
    for path, place in places.items():
        value = values[place.name]
        wanted = write(value) if place.quoted else value
        read = _value_at(found, path)
        is_alike = type(read) is type(wanted) and (read == wanted or read != read)
        if not is_alike or not (place.quoted or ending == ".toml" or _is_text_to_all(value)):
            raise BadInput(
                f"the template {name}: {place.name} {value!r} would not be read as that.",
                hint=_QUOTES,
            )


def _is_text_to_all(value: Any) -> bool:
    """Whether an unquoted text is read as text by all YAML parsers; true for other values."""
    if not isinstance(value, str):
        return True
    if not _NO_SYNTAX.fullmatch(value):
        return False
    try:
        return bool(sweep_parser.parse("text.yaml", value.encode()) == value)
    except Unusable:
        return False


def _value_at(found: Any, path: Path) -> Any:
    for key in path:
        try:
            found = found[key]
        except (LookupError, TypeError):
            return None
    return found
