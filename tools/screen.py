"""Draws what commands print, read from standard input, as the picture of a terminal.

    maestro task show 0 | python tools/screen.py docs/screen.svg

A line that begins with "$ " is shown as a command. docs/screen.svg shows the task of `maestro demo`.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def drawn(text: str) -> str:
    """Return the picture as SVG, as wide as the longest line."""
    lines = [Text.from_ansi(line) for line in text.replace("\n$ ", "\n\n$ ").splitlines()]
    console = Console(width=max(map(len, lines)), file=io.StringIO(), record=True, highlight=False)
    for line in lines:
        if line.plain.startswith("$ "):
            line.stylize("bold green")
        console.print(line)
    svg = console.export_svg(title="maestro", unique_id="screen")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # they are on another host


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn(sys.stdin.read()), encoding="utf-8")
