"""The names of a sweep's files, and their contents if made from a template. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import as_text, flatten
from orchestra.domain.nearest import nearest
from orchestra.domain.sweeps import Point

_NAME_LENGTH = 120
_VALUE_LENGTH = 24
_PLACEHOLDER = re.compile(r"\{\{\s*+([^{}\s][^{}]{0,500}?)\s*\}\}")


def labels(names: Sequence[str]) -> dict[str, str]:
    """Return the label of each name in file names: its last part if that is unique."""
    last = [name.rpartition(".")[2] for name in names]
    return {
        name: _clean(short if last.count(short) == 1 else name)
        for name, short in zip(names, last, strict=True)
    }


def file_name(number: int, points: int, point: Point, short: Mapping[str, str]) -> str:
    """Return the name of a point's config without its extension: `07_lr=0.1_depth=3`. Names sort like the points."""
    name = f"{number:0{len(str(points - 1))}}"
    for key, value in point.items():
        part = f"_{short[key]}={_clean(_value_words(value))[:_VALUE_LENGTH]}"
        if len(name) + len(part) > _NAME_LENGTH:
            break
        name += part
    return name


def _value_words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return "x".join(map(_value_words, value))
    return "null" if value is None else as_text(value)


def _clean(text: str) -> str:
    sign = "-" if re.match(r"-[0-9.]", text) else ""
    return sign + re.sub(r"[^A-Za-z0-9.+-]+", "-", text).strip("-.") or "-"


def placeholders(template: str) -> set[str]:
    """Return the names of the {{placeholders}} of a template."""
    return {match[1] for match in _PLACEHOLDER.finditer(template)}


def value_text(value: Any) -> str:
    """Format a value for a template: a list as JSON, None as null."""
    return "null" if value is None else as_text(value)


def fill(
    template: str,
    config: Mapping[str, Any],
    where: str,
    write: Callable[[Any], str] = value_text,
) -> str:
    """Return a template with each {{name}} replaced by the config's value.

    Raises:
        BadInput: the config has no such value; the message names the line.
    """
    values = flatten(config)

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            line = template.count("\n", 0, match.start()) + 1
            guess = nearest(name, list(values))
            question = f' Did you mean "{guess}"?' if guess else ""
            raise BadInput(
                f"{where}, line {line}: the sweep has no value for {{{{{name}}}}}.{question}"
            )
        return write(values[name])

    return _PLACEHOLDER.sub(value_of, template)
