"""Help texts, folded for the terminal: prose between words, commands so that they can still be copied."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

_LEAST_WIDTH = 40
_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|\\.|[^\s"'])+""")


def formatter(*, coloured: bool) -> type[argparse.HelpFormatter]:
    """Return argparse's formatter of help pages: with rich's colours, or without any."""
    from rich.console import Console
    from rich_argparse import RawDescriptionRichHelpFormatter

    # Without a colour system rich writes no escape sequence at all, whatever the environment says.
    system: Literal["standard"] | None = "standard" if coloured else None

    class Formatter(RawDescriptionRichHelpFormatter):
        text_markup = False  # [a, b] is a list, not a style
        group_name_formatter = staticmethod(_title)  # type: ignore[assignment]

        def __init__(self, prog: str) -> None:
            console = Console(color_system=system, force_terminal=coloured, no_color=False)
            super().__init__(prog, console=console)

    return Formatter


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]


def folded(text: str, width: int) -> str:
    """Fold a text whose indented lines are examples or tables and whose other lines are prose."""
    width = max(width, _LEAST_WIDTH)
    lines: list[str] = []
    for is_prose, block in groupby(text.split("\n"), key=_is_prose):
        if is_prose:
            lines += textwrap.wrap(
                " ".join(block), width, break_on_hyphens=False, break_long_words=False
            )
        else:
            lines += [part for line in block for part in _example(line, width)]
    return "\n".join(lines)


def columns(rows: Sequence[tuple[str, str]], width: int) -> str:
    """Return commands in one column and what they do in another."""
    first = max(len(name) for name, _ in rows)
    beside = " " * (first + 4)
    return "\n".join(
        textwrap.fill(
            text,
            max(width, first + _LEAST_WIDTH),
            initial_indent=f"  {name:<{first}}  ",
            subsequent_indent=beside,
            break_on_hyphens=False,
            break_long_words=False,
        )
        for name, text in rows
    )


def _is_prose(line: str) -> bool:
    return bool(line) and not line[0].isspace()


def _example(line: str, width: int) -> Iterator[str]:
    """Yield a command in lines that a shell reads as one; anything else unchanged."""
    if len(line) <= width or not line.lstrip().startswith("maestro ") or line.endswith("\\"):
        yield line
        return
    indent = line[: len(line) - len(line.lstrip())]
    begun = ""
    for word in _with_values(_WORD.findall(line)):
        if begun and len(begun) + len(word) + 3 > width:
            yield f"{begun} \\"
            begun = f"{indent}    {word}"
        else:
            begun = f"{begun} {word}" if begun else f"{indent}{word}"
    yield begun


def _with_values(words: Sequence[str]) -> Iterator[str]:
    """Join each option with its value, so that they stay in one line."""
    option = ""
    for word in words:
        if option and not word.startswith("-"):
            yield f"{option} {word}"
            option = ""
            continue
        if option:
            yield option
        option = word if word.startswith("-") else ""
        if not option:
            yield word
    if option:
        yield option
