r"""Last lines of logs as patterns, so that "loss is nan at step 512" and "loss is nan at step 9" are alike. Pure.

In a pattern, which is for the whole line, `*` stands for any characters. PostgreSQL and this module see the same line:
the last one that is not blank in the last `END` bytes of a log, where a line ends with \n or \r.
"""

from __future__ import annotations

import re

from orchestra.domain.errors import BadInput

END = 1_000
"""Bytes at the end of a log in which its last line is looked for."""
_LONGEST = 160
_LONGEST_GIVEN = 1_000
_BREAK = re.compile(rb"[\r\n]+")
_ESCAPE = re.compile(rb"\x1b\[[0-9;:?]*[ -/]*[@-~]?")
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]+|[0-9]+(?:[.,:][0-9]+)*(?:[eE][-+]?[0-9]+)?")


def last_line_pattern(end: bytes | None) -> str | None:
    """Return a pattern of the last line of a log with these last bytes, without its numbers; None if all is blank."""
    lines = _BREAK.split((end or b"")[-END:])
    place = next((n for n in reversed(range(len(lines))) if lines[n].strip()), None)
    if place is None:
        return None
    text = _printable(_ESCAPE.sub(b"*", lines[place].strip()).decode(errors="replace"))
    if (without := _NUMBER.sub("*", text)).strip("* "):
        text = without
    if place == 0 and end is not None and len(end) >= END:
        text = f"*{text}"  # the line has begun before
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST].rstrip()}*"
    return re.sub(r"\*+", "*", text)


def without_colours(log: bytes | None) -> bytes | None:
    """Return a log without the sequences that colour a terminal or move its cursor."""
    return None if log is None else _ESCAPE.sub(b"", log)


def _printable(text: str) -> str:
    return "".join(
        char if char.isprintable() and char != "\N{REPLACEMENT CHARACTER}" else "*" for char in text
    )


def pattern_regex(pattern: str) -> str:
    """Return PostgreSQL's regular expression for last bytes of a log, in its format `escape`, with such a line.

    Raises:
        BadInput: the pattern is too long.
    """
    pieces = re.sub(r"\*+", "*", pattern.strip()).split("*")
    if len(pattern) > _LONGEST_GIVEN:
        raise BadInput(f"a pattern of log lines has at most {_LONGEST_GIVEN} characters.")
    return (
        r"(?:^|[\n\r])[ \t]*"
        + r"[^\n\r]*".join(_escaped(piece) for piece in pieces)
        + r"[ \t\n\r]*$"
    )


def _escaped(piece: str) -> str:
    """Return a part of a line as PostgreSQL's encode(..., 'escape') writes it, as a regular expression."""
    encoded = "".join(
        f"\\{byte:03o}" if byte == 0 or byte > 127 else "\\\\" if byte == 92 else chr(byte)
        for byte in piece.encode(errors="replace")
    )
    return re.sub(r"([^0-9A-Za-z_ ])", r"\\\1", encoded)
