"""Parsing JSON, YAML and TOML from people and jobs within bounds, so that small texts are cheap to parse.

Configs, metrics, sweep files and settings are all parsed here. A text is measured before it is parsed: its nesting
depth, its number of values with all aliases expanded, and the digits of its numbers.

NaN and infinities are values, as in Python's JSON. If a name is given twice, the last one counts.
"""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from orchestra.domain.documents import json_text
from orchestra.domain.documents.bounds import BOUNDS as BOUNDS
from orchestra.domain.documents.bounds import Bounds as Bounds
from orchestra.domain.documents.bounds import Unusable as Unusable

SUFFIXES = (".json", ".yaml", ".yml", ".toml")


def parse(name: str, content: bytes | str, bounds: Bounds = BOUNDS) -> Any:
    """Parse a file by its extension; without a known one, as JSON.

    Raises:
        Unusable: it is not valid, or exceeds the bounds; the text follows the file's name.
    """
    bounds.check_size(len(content))
    text = _text(content)
    match PurePath(name).suffix.lower():  # every command reads JSON, few read the others
        case ".yaml" | ".yml":
            from orchestra.domain.documents import yaml_text

            return yaml_text.parse(text, bounds)
        case ".toml":
            from orchestra.domain.documents import toml_text

            return toml_text.parse(text, bounds)
        case _:
            return json_text.parse(text, bounds)


def parse_last(name: str, content: bytes | str, bounds: Bounds = BOUNDS) -> tuple[Any, str]:
    """Parse a file, or the last complete line of JSON lines; return the values and the parsed text.

    Raises:
        Unusable: as `parse`.
    """
    bounds.check_size(len(content))
    text = _text(content)
    try:
        return parse(name, text, bounds), text
    except json_text.SeveralValues as error:
        try:
            return last_line(text, bounds)
        except Unusable:
            raise Unusable(f"{error}: more than one value, and the last line is not one") from None


def last_line(end: bytes | str, bounds: Bounds = BOUNDS) -> tuple[Any, str]:
    """Parse the last line of JSON lines; return the values and that line.

    An incomplete last line, of a job that ended while writing it, is skipped.

    Raises:
        Unusable: it is not valid JSON, or exceeds the bounds.
    """
    text = _text(end)
    before, _, line = text.rstrip().rpartition("\n")
    if not text.endswith("\n") and before.strip() and line.lstrip().startswith("{"):
        try:
            return json_text.parse(line.strip(), bounds), line.strip()
        except Unusable:
            line = before.rpartition("\n")[2]
    return json_text.parse(line.strip(), bounds), line.strip()


def _text(content: bytes | str) -> str:
    if isinstance(content, str):
        return content
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        raise Unusable("is not UTF-8 text") from None
