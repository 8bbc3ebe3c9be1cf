"""Reading a JSON file that a person wrote; errors name the line and the column."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from orchestra.domain.documents import BOUNDS, Unusable, json_text
from orchestra.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The object in a file. `text` is kept to find the place of a key."""

    path: Path
    values: Mapping[str, object]
    text: str = field(repr=False)

    def place(self, key: str) -> str:
        """Return "FILE, line L, column C" of a key."""
        match = re.search(rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:", self.text)
        return _place(self.path, self.text, match.start() if match else 0)


def read(path: Path, *, unreadable_hint: str) -> ConfigFile | None:
    """Return the contents of a file, None if there is none. The hint says what to do if permission is denied.

    Raises:
        ConfigurationError: it cannot be read, or is not one JSON object.
    """
    text = _read_text(path, unreadable_hint)
    if text is None:
        return None
    if not text.strip():
        raise ConfigurationError(f"{path} is empty.", hint="Write {} into it, or delete it.")
    return ConfigFile(path, _parse(path, text), text)


def _read_text(path: Path, unreadable_hint: str) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(BOUNDS.bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder; a file is expected there.") from None
    except PermissionError:
        raise ConfigurationError(
            f"{path} cannot be read: permission denied.", hint=unreadable_hint
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > BOUNDS.bytes:
        raise ConfigurationError(f"{path} is larger than 1 MB, so it is not a configuration.")
    return _decode(path, data)


def _decode(path: Path, data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ConfigurationError(f"{path} is written in UTF-16.", hint="Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        raise ConfigurationError(
            f"{_place(path, before, len(before))}: this character is not written in UTF-8.",
            hint="Save the file as UTF-8.",
        ) from None


def _parse(path: Path, text: str) -> dict[str, object]:
    try:
        json_text.check(text, BOUNDS)
        found = _loads(path, text)
    except Unusable as error:
        raise ConfigurationError(f"{path} {error}.") from None
    except json.JSONDecodeError:
        raise _explain(path, text) from None
    if not isinstance(found, dict):
        raise ConfigurationError(
            f'{path} contains {kind_of(found)} instead of {{"key": "value", ...}}.'
        )
    return found


def _loads(path: Path, text: str) -> object:
    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        values = dict(found)
        if len(values) < len(found):
            keys = [key for key, _ in found]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ConfigurationError(f'{path}: "{twice}" occurs twice.')
        return values

    def constant(word: str) -> NoReturn:
        raise ConfigurationError(f"{path}: {word} is not a JSON value.")

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


def _explain(path: Path, text: str) -> ConfigurationError:
    from orchestra.config.json_faults import faults

    first, *others = [f"{_line_and_column(text, at)}: {words}" for at, words in faults(text)]
    hint = "Then also: " + "\n           ".join(others) if others else None
    return ConfigurationError(f"{path}, {first}", hint=hint)


def _place(path: Path, text: str, at: int) -> str:
    return f"{path}, {_line_and_column(text, at)}"


def _line_and_column(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f"line {line}, column {column}"


def kind_of(value: object) -> str:
    """Return the kind of a JSON value, in words."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    return kinds.get(type(value), "an object") if value is not None else "null"
