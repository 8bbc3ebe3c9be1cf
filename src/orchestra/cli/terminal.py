"""A guard before stdout and stderr: it escapes control characters, except newlines and this program's own sequences.

This program's escape sequences begin with `ESC`, a random text, until they are written. So no text from the database
and no file name can colour a line, move the cursor or change the title of a terminal.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from orchestra.domain.escaping import escaped

ESC = f"\x1b{os.urandom(8).hex()}\x1b"
"""The escape character in this program's own text, until it is written."""
CLEAR_LINE = f"{ESC}[G{ESC}[K"
"""Return to the beginning of the line and clear it."""
_RESET = b"\x1b[0m"


def one_line(text: str) -> str:
    """Escape the control characters of a line, newlines included; keep `ESC`."""
    return text if text.isprintable() else ESC.join(map(escaped, text.split(ESC)))


def guarded(text: str) -> str:
    """Escape control characters for writing; keep newlines and this program's own sequences."""
    if text.isprintable() or text.replace("\n", "").isprintable():
        return text
    return "\x1b".join(escaped(part, keep="\n") for part in text.split(ESC))


class Guarded:
    """A text stream that writes through `guarded`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(guarded(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard(stream: TextIO) -> TextIO:
    """Return a guarded stream, unless it already is one."""
    return stream if isinstance(stream, Guarded) else Guarded(stream)  # type: ignore[return-value]


class LogPrinter:
    """Writes a job's log: unchanged for programs; on a terminal with colours but no other sequences."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""
        self._coloured = False

    def write(self, block: bytes) -> None:
        """Write a block; an escape sequence may begin in one block and end in the next."""
        if sys.stdout.isatty():
            text = self._rest + self._decoder.decode(block)
            text, self._rest = _complete(text)
            block = self._shown(text).encode(errors="backslashreplace")
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Write the rest, and reset the colour of the terminal."""
        rest = self._shown(self._rest + self._decoder.decode(b"", final=True)).encode()
        sys.stdout.buffer.write(rest + (_RESET if self._coloured else b""))
        sys.stdout.buffer.flush()

    def _shown(self, text: str) -> str:
        import re

        if text.isprintable():
            return text
        parts = re.split(r"(\x1b\[[0-9;:]*m)", text)
        self._coloured = self._coloured or len(parts) > 1
        # Programs draw progress bars with carriage returns.
        parts[::2] = [escaped(part, keep="\n\t\r") for part in parts[::2]]
        return "".join(parts)


def _complete(text: str) -> tuple[str, str]:
    """Split off an incomplete escape sequence at the end of a text."""
    at = text.rfind("\x1b", -32)
    if at < 0 or any(char.isalpha() for char in text[at:]):
        return text, ""
    return text[:at], text[at:]
