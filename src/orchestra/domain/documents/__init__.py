"""Reading what people and jobs wrote: JSON, YAML and TOML, within bounds, so that no text costs more than its size.

Configs, metrics, sweep files and settings come by this way and no other. A text is measured before it is parsed: how
deep it is nested, how many values it stands for when every alias is written out, how many digits its numbers have.

NaN and infinities are values, as Python's own JSON has it. Where a name stands there twice, the last one counts.
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
    """Give the values of a file by its name's ending; without a known one it is taken for JSON.

    Raises:
        Unusable: it is not what its name says, or beyond the bounds; the text stands behind the file's name.
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
    """Give the values of a file, of JSON lines those of the last whole line, and the text of what was read.

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
            raise Unusable(f"{error}: more than one value, and the last line is none") from None


def last_line(end: bytes | str, bounds: Bounds = BOUNDS) -> tuple[Any, str]:
    """Give the values in the last line of JSON lines, and that line.

    A line that was begun and not finished, as the job ended, does not count.

    Raises:
        Unusable: it is no JSON, or beyond the bounds.
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
        raise Unusable("is no UTF-8 text") from None
