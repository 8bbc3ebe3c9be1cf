"""Reading a JSON file that a person wrote: what is wrong with it is said in words, with line and column."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from orchestra.domain.documents import BOUNDS, Unusable, json_text
from orchestra.domain.errors import ConfigurationError

_TYPOGRAPHIC_QUOTES = "“”„‟«»‘’‚"
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}
_MOST_REPAIRS = 20


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The object of a file. `text` is kept to say where a key stands."""

    path: Path
    values: Mapping[str, object]
    text: str = field(repr=False)

    def place(self, key: str) -> str:
        """Give "FILE, line L, column C" of a key."""
        match = re.search(rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:", self.text)
        return _place(self.path, self.text, match.start() if match else 0)


@dataclass(frozen=True, slots=True)
class _Fault:
    """Something that is wrong at a position; `remove` and `insert` mend it well enough to read on."""

    at: int
    words: str
    remove: int = 0
    insert: str = ""

    @property
    def can_be_mended(self) -> bool:
        return bool(self.remove or self.insert)


def read(path: Path) -> ConfigFile | None:
    """Give what stands in the file, None where there is none.

    Raises:
        ConfigurationError: it cannot be read, or is not one JSON object.
    """
    text = _read_text(path)
    if text is None:
        return None
    if not text.strip():
        raise ConfigurationError(f"{path} is empty.", hint="Write {} into it, or delete it.")
    return ConfigFile(path, _parse(path, text), text)


def _read_text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(BOUNDS.bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise ConfigurationError(f"{path} is a folder; a file is expected there.") from None
    except PermissionError:
        raise ConfigurationError(
            f"{path} may not be read by you.", hint=f"chmod 600 {path}, as its owner."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > BOUNDS.bytes:
        raise ConfigurationError(f"{path} is larger than 1 MB, so it is no configuration.")
    return _decode(path, data)


def _decode(path: Path, data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ConfigurationError(f"{path} is written in UTF-16.", hint="Save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        raise ConfigurationError(
            f"{_place(path, before, len(before))}: this letter is not written in UTF-8.",
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
            f'{path} holds {kind_of(found)}; expected is {{"key": "value", ...}}.'
        )
    return found


def _loads(path: Path, text: str) -> object:
    def pairs(found: list[tuple[str, object]]) -> dict[str, object]:
        values = dict(found)
        if len(values) < len(found):
            keys = [key for key, _ in found]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ConfigurationError(f'{path}: "{twice}" stands there twice.')
        return values

    def constant(word: str) -> NoReturn:
        raise ConfigurationError(f"{path}: {word} is no value that JSON knows.")

    return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)


def _explain(path: Path, text: str) -> ConfigurationError:
    first, *others = [f"{_spot(text, at)}: {words}" for at, words in _faults(text)]
    hint = "Then also: " + "\n           ".join(others) if others else None
    return ConfigurationError(f"{path}, {first}", hint=hint)


def _faults(text: str) -> list[tuple[int, str]]:
    """Give all faults that can be found by mending one after the other, at their places in the original text."""
    found: list[tuple[int, str]] = []
    mended, shift = text, 0
    while len(found) < _MOST_REPAIRS:
        try:
            json_text.check(mended, BOUNDS)  # with a quote added, another part of it is text
            json.loads(mended)
            break
        except Unusable:
            break
        except json.JSONDecodeError as error:
            fault = _fault(error)
        found.append((max(0, fault.at - shift), fault.words))
        if not fault.can_be_mended:
            break
        mended = mended[: fault.at] + fault.insert + mended[fault.at + fault.remove :]
        shift += len(fault.insert) - fault.remove
    return found


def _fault(error: json.JSONDecodeError) -> _Fault:
    """Put what Python's parser noticed into words. Its messages are those of CPython's json.decoder."""
    text, at = error.doc, error.pos
    if error.msg.startswith("Expecting ',' delimiter"):
        return _no_comma(text, at)
    if error.msg.startswith(("Unterminated string", "Invalid control character")):
        return _open_string(text, at)
    if error.msg.startswith("Expecting property name"):
        return _no_key(text, at)
    if error.msg.startswith("Illegal trailing comma"):  # Python 3.13 and later
        return _Fault(at, "a comma too many: nothing follows it", remove=1)
    if error.msg.startswith("Expecting ':' delimiter"):
        if text[at : at + 1] == '"':
            return _Fault(at, "a colon is missing before this", insert=":")
        return _Fault(at, "the quotes of this line are not in pairs")
    if error.msg.startswith("Invalid \\"):
        return _Fault(at, "a backslash must be written twice: \\\\", insert="\\")
    if error.msg.startswith("Extra data"):
        return _Fault(at, "something stands behind the closing brace")
    return _no_value(text, at)


def _no_comma(text: str, at: int) -> _Fault:
    if text[at - 2 : at] == '""' and not text[at].isspace():
        scheme = re.match(r"[a-z]+://", text[at:])
        # Nothing else is shown of it: it may be a password.
        before = f"before {scheme[0]}" if scheme else "at the beginning of this value"
        return _Fault(at - 1, f"a quote too many {before}", remove=1)
    if at >= len(text.rstrip()):
        return _Fault(at, "the closing brace } is missing", insert="}")
    if text[at] == '"' and _rest_of_line(text, at + 1).strip() in ("", ","):
        return _Fault(at, "a quote too many at the end of this line", remove=1)
    if text[at : at + 2] in ("//", "/*") or text[at] == "#":
        return _Fault(at, "JSON has no comments", len(_rest_of_line(text, at)))
    end = len(text[:at].rstrip())
    key = _key_before(text, end)
    after = f' after the value of "{key}"' if key else ""
    return _Fault(end, f"a comma is missing{after}", insert=",")


def _key_before(text: str, end: int) -> str | None:
    keys = re.findall(r'"((?:[^"\\\n]|\\.){0,200}+)"\s{0,200}+:', text[:end])
    return keys[-1] if keys else None


def _rest_of_line(text: str, at: int) -> str:
    return text[at:].partition("\n")[0]


def _open_string(text: str, at: int) -> _Fault:
    if at < len(text) and text[at] == "\t":
        return _Fault(at, "a tab within quotes must be written as \\t", remove=1, insert="\\t")
    if at < len(text) and text[at] == '"':
        line = _rest_of_line(text, at)
        at += len(line.rstrip().rstrip(",}"))
    else:
        line_start = text.rfind("\n", 0, at) + 1
        at = line_start + len(text[line_start:at].rstrip().rstrip(","))
    return _Fault(at, "the closing quote is missing", insert='"')


def _no_key(text: str, at: int) -> _Fault:
    rest = text[at:]
    if rest[:1] == "}":
        comma = text.rfind(",", 0, at)
        return _Fault(comma, "a comma too many: nothing follows it", remove=1)
    if not rest.strip():
        return _Fault(at, "the closing brace } is missing", insert="}")
    return _foreign(text, at) or _Fault(
        at, 'a name in double quotes is expected here, as in "email"'
    )


def _no_value(text: str, at: int) -> _Fault:
    rest = text[at:]
    word = re.match(r"\w+", rest)
    if word and word[0] in _PYTHON_WORDS:
        right = _PYTHON_WORDS[word[0]]
        return _Fault(at, f"{word[0]} is written {right} here", len(word[0]), right)
    if rest[:1] in (",", "}", ""):
        return _Fault(at, "a value is missing", insert='""')
    scheme = re.match(r"[a-z]+://", rest)
    where = f" before {scheme[0]}" if scheme else ""
    return _foreign(text, at) or _Fault(at, f"a quote is missing{where}", insert='"')


def _foreign(text: str, at: int) -> _Fault | None:
    """What comes from other languages, and from word processors."""
    first = text[at : at + 1]
    if first == "'":
        return _Fault(at, 'single quotes are not known here, use double ones: "')
    if first in _TYPOGRAPHIC_QUOTES and first:
        return _Fault(at, f'this is a typographic quote ({first}), use a plain one: "')
    if text[at : at + 2] in ("//", "/*") or first == "#":
        return _Fault(at, "JSON has no comments", len(_rest_of_line(text, at)))
    return None


def _place(path: Path, text: str, at: int) -> str:
    return f"{path}, {_spot(text, at)}"


def _spot(text: str, at: int) -> str:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1) + 1
    return f"line {line}, column {column}"


def kind_of(value: object) -> str:
    """Give what kind of JSON value this is, in words."""
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    return kinds.get(type(value), "an object") if value is not None else "null"
