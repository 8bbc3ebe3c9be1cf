"""Whether to use colour, and which one a state has."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from orchestra.cli.terminal import ESC

_COLOURS = {
    "REGISTERED": "2", "TESTING": "36", "RUNNING": "34", "DONE": "32", "FINALIZED": "33",
    "BROKEN": "31", "KILL": "35", "KILLED": "35", "FAILED": "31", "WAITING": "2", "HELD": "33",
    "ONLINE": "32", "OFFLINE": "31", "DRAINED": "33", "LEAVING": "33",
}  # fmt: skip


def can_draw(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can move its cursor; a dumb one would show the codes themselves."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(stream: TextIO) -> bool:
    """Whether to write colours to a stream: on a terminal, unless the environment decides.

    See https://no-color.org, https://force-color.org and https://bixense.com/clicolors. An empty variable is not set;
    `NO_COLOR` overrides the others.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") or os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return can_draw(stream) and os.environ.get("CLICOLOR") != "0"


def paint(cell: str) -> str:
    """Colour a state by its first word."""
    words = cell.split()
    number = _COLOURS.get(words[0].strip(",").upper()) if words else None
    return f"{ESC}[{number}m{cell}{ESC}[0m" if number else cell


def paint_as(number: str, text: str) -> str:
    """Colour text on stdout by the number of an SGR colour, where colour is used."""
    return f"{ESC}[{number}m{text}{ESC}[0m" if coloured(sys.stdout) else text
