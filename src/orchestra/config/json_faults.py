"""Find the faults of a text that is not JSON, all at once, and describe them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from orchestra.domain.documents import BOUNDS, Unusable, json_text

_TYPOGRAPHIC_QUOTES = "“”„‟«»‘’‚"
_PYTHON_WORDS = {"True": "true", "False": "false", "None": "null"}
_MOST_REPAIRS = 20


@dataclass(frozen=True, slots=True)
class _Fault:
    """A fault at a position; `remove` and `insert` repair it well enough to parse the rest."""

    at: int
    words: str
    remove: int = 0
    insert: str = ""

    @property
    def can_be_repaired(self) -> bool:
        return bool(self.remove or self.insert)


def faults(text: str) -> list[tuple[int, str]]:
    """Return the position and description of each fault, found by repairing one after the other."""
    found: list[tuple[int, str]] = []
    repaired, shift = text, 0
    while len(found) < _MOST_REPAIRS:
        try:
            json_text.check(repaired, BOUNDS)  # an added quote changes what is inside strings
            json.loads(repaired)
            break
        except Unusable:
            break
        except json.JSONDecodeError as error:
            fault = _fault(error)
        found.append((max(0, fault.at - shift), fault.words))
        if not fault.can_be_repaired:
            break
        repaired = repaired[: fault.at] + fault.insert + repaired[fault.at + fault.remove :]
        shift += len(fault.insert) - fault.remove
    return found


def _fault(error: json.JSONDecodeError) -> _Fault:
    """Translate an error of CPython's json.decoder."""
    text, at = error.doc, error.pos
    if error.msg.startswith("Expecting ',' delimiter"):
        return _no_comma(text, at)
    if error.msg.startswith(("Unterminated string", "Invalid control character")):
        return _open_string(text, at)
    if error.msg.startswith("Expecting property name"):
        return _no_key(text, at)
    if error.msg.startswith("Illegal trailing comma"):  # Python 3.13 and later
        return _Fault(at, "an extra comma: nothing follows it", remove=1)
    if error.msg.startswith("Expecting ':' delimiter"):
        if text[at : at + 1] == '"':
            return _Fault(at, "a colon is missing before this", insert=":")
        return _Fault(at, "the quotes of this line do not match")
    if error.msg.startswith("Invalid \\"):
        return _Fault(at, "a backslash must be written twice: \\\\", insert="\\")
    if error.msg.startswith("Extra data"):
        return _Fault(at, "there is text after the closing brace")
    return _no_value(text, at)


def _no_comma(text: str, at: int) -> _Fault:
    if text[at - 2 : at] == '""' and not text[at].isspace():
        scheme = re.match(r"[a-z]+://", text[at:])
        # The value itself is not shown: it may be a password.
        before = f"before {scheme[0]}" if scheme else "at the beginning of this value"
        return _Fault(at - 1, f"an extra quote {before}", remove=1)
    if at >= len(text.rstrip()):
        return _Fault(at, "the closing brace } is missing", insert="}")
    if text[at] == '"' and _rest_of_line(text, at + 1).strip() in ("", ","):
        return _Fault(at, "an extra quote at the end of this line", remove=1)
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
        return _Fault(comma, "an extra comma: nothing follows it", remove=1)
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
    """Recognize the syntax of other languages, and the quotes of word processors."""
    first = text[at : at + 1]
    if first == "'":
        return _Fault(at, 'JSON has no single quotes, use double quotes: "')
    if first in _TYPOGRAPHIC_QUOTES and first:
        return _Fault(at, f'this is a typographic quote ({first}), use a straight one: "')
    if text[at : at + 2] in ("//", "/*") or first == "#":
        return _Fault(at, "JSON has no comments", len(_rest_of_line(text, at)))
    return None
