"""Lines at the bottom of a terminal that are redrawn in place; other lines are printed above them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from typing import TextIO

from orchestra.cli.table import width_of
from orchestra.cli.terminal import ESC

_COLOUR = re.compile(rf"{re.escape(ESC)}\[[0-9;]*m")


class Redrawn:
    """A block of lines on a terminal, which they must fit."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn: list[str] = []

    def show(self, lines: Iterable[str]) -> None:
        """Draw lines in place of those before."""
        found = list(lines)
        text = "".join(f"{line}\n" for line in found)
        print(f"{self._erased()}{text}", end="", file=self._stream, flush=True)
        self._drawn = found

    def clear(self) -> None:
        """Erase the lines; what is printed next stands in their place."""
        self.show(())

    def _erased(self) -> str:
        up = rows(self._drawn, columns(self._stream))
        return (f"{ESC}[{up}A" if up else "") + f"{ESC}[J"


def rows(lines: Iterable[str], width: int) -> int:
    """Return how many rows lines take; a terminal that has become narrower folds those that no longer fit."""
    return sum(max(1, -(-width_of(_COLOUR.sub("", line)) // width)) for line in lines)


def columns(stream: TextIO) -> int:
    """Return the present width of the terminal that a stream writes to."""
    return _size(stream).columns or 80


def height(stream: TextIO) -> int:
    """Return the present height of the terminal that a stream writes to."""
    return _size(stream).lines or 24


def _size(stream: TextIO) -> os.terminal_size:
    # shutil asks for that of stdout, which may be a file.
    if not os.environ.get("COLUMNS"):
        try:
            return os.get_terminal_size(stream.fileno())
        except (OSError, ValueError):
            pass
    return shutil.get_terminal_size()
