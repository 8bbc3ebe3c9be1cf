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
    suffix = suffix_of(name)
    if suffix in (".yaml", ".yml"):
        from orchestra.domain.documents import (
            yaml_text,
        )  # every command reads settings, few read these

        return yaml_text.parse(content, bounds)
    text = content if isinstance(content, str) else _decoded(content, suffix)
    if suffix == ".toml":
        from orchestra.domain.documents import toml_text

        return toml_text.parse(text, bounds)
    return json_text.parse(text, bounds)


def parse_last(name: str, content: bytes | str, bounds: Bounds = BOUNDS) -> tuple[Any, str | None]:
    """Give the values of a file, of JSON lines those of the last line; and that line, None where it is one document.

    Raises:
        Unusable: as `parse`.
    """
    try:
        return parse(name, content, bounds), None
    except json_text.SeveralValues as error:
        text = content if isinstance(content, str) else _decoded(content, suffix_of(name))
        line = text.rstrip().rpartition("\n")[2].strip()
        try:
            return json_text.parse(line, bounds), line
        except Unusable:
            raise error from None


def suffix_of(name: str) -> str:
    """Give the ending of a file's name by which it is read."""
    return PurePath(name).suffix.lower()


def _decoded(content: bytes, suffix: str) -> str:
    try:
        return content.decode("utf-8" if suffix == ".toml" else json.detect_encoding(content))
    except UnicodeDecodeError:
        raise Unusable("is no UTF-8 text") from None
