"""What goes to stdout and stderr as text passes here: control characters are spelled out, except newlines and our own.

The escape sequences of this program begin with `ESC`, which nobody else knows, until they are written. So no row of the
database and no file's name can colour a line, move the cursor or change a terminal's title.
"""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO

from orchestra.domain.escaping import escaped

ESC = f"\x1b{os.urandom(8).hex()}\x1b"
"""Stands for the escape character in text of this program."""
CLEAR_LINE = f"{ESC}[G{ESC}[K"
"""Back to the beginning of the line, and wipe it."""
_RESET = b"\x1b[0m"


def one_line(text: str) -> str:
    """Spell out the control characters of a line, newlines as well; `ESC` stays."""
    return text if text.isprintable() else ESC.join(map(escaped, text.split(ESC)))


def guarded(text: str) -> str:
    """Give text as it may be written: with newlines and our own escape sequences alone."""
    if text.isprintable() or text.replace("\n", "").isprintable():
        return text
    return "\x1b".join(escaped(part, keep="\n") for part in text.split(ESC))


class Guarded:
    """A text stream that writes what is `guarded`; in all else it is the stream that it stands before."""

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
    """Put a guard before a stream, once."""
    return stream if isinstance(stream, Guarded) else Guarded(stream)  # type: ignore[return-value]


class LogPrinter:
    """Writes a job's log: as it is where programs read it; on a terminal with colours, but no other sequences."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._rest = ""
        self._coloured = False

    def write(self, block: bytes) -> None:
        """Write a part of it; an escape sequence may begin in one part and end in the next."""
        if sys.stdout.isatty():
            text = self._rest + self._decoder.decode(block)
            text, self._rest = _complete(text)
            block = self._shown(text).encode(errors="backslashreplace")
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Write what is left, and leave the terminal with its own colour."""
        rest = self._shown(self._rest + self._decoder.decode(b"", final=True)).encode()
        sys.stdout.buffer.write(rest + (_RESET if self._coloured else b""))
        sys.stdout.buffer.flush()

    def _shown(self, text: str) -> str:
        import re

        if text.isprintable():
            return text
        parts = re.split(r"(\x1b\[[0-9;:]*m)", text)
        self._coloured = self._coloured or len(parts) > 1
        # A carriage return is how programs draw their progress.
        parts[::2] = [escaped(part, keep="\n\t\r") for part in parts[::2]]
        return "".join(parts)


def _complete(text: str) -> tuple[str, str]:
    """Split off the beginning of an escape sequence from the end of a text."""
    at = text.rfind("\x1b", -32)
    if at < 0 or any(char.isalpha() for char in text[at:]):
        return text, ""
    return text[:at], text[at:]
