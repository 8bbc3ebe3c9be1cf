"""Tables that fit a terminal: names are shortened, sentences folded, numbers and states always whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from typing import Generic, TypeVar

from orchestra.cli import colour
from orchestra.domain.escaping import escaped

T = TypeVar("T")
Cells = list[list[str]]

_LEAST_WIDTH = 8
_LEAST_FOLDED = 16


class Fit(Enum):
    """What happens to a cell that has no room on a narrow terminal."""

    END = "end"
    """Its end is left out."""
    START = "start"
    """Its start is left out, once the other columns cannot get narrower: the end tells names and paths apart."""
    FOLD = "fold"
    """It continues in the next line."""
    WHOLE = "whole"
    """Nothing is left out."""


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a table. Numbers (`right`) and states are always whole.

    `spare`: on a terminal without room for the column, it is left out if all its cells have this value.
    """

    title: str
    value: Callable[[T], object]
    right: bool = False
    state: bool = False
    spare: str | None = None
    fit: Fit = Fit.END

    @property
    def least(self) -> int | None:
        """The width that the column can be reduced to; None for one that stays whole."""
        if self.right or self.state or self.fit is Fit.WHOLE:
            return None
        return _LEAST_FOLDED if self.fit is Fit.FOLD else _LEAST_WIDTH

    def fitted(self, cell: str, width: int) -> list[str]:
        """Return a cell in lines of at most `width`."""
        if len(cell) <= width and (cell.isascii() or width_of(cell) <= width):
            return [cell]
        if self.least is None:
            return [cell]
        if self.fit is Fit.FOLD:
            return list(fold(cell, width))
        return [cut_start(cell, width) if self.fit is Fit.START else cut(cell, width)]


def lines(
    rows: Sequence[T],
    layouts: Sequence[Sequence[Column[T]]],
    width: int | None = None,
    *,
    coloured: bool = False,
) -> Iterator[str]:
    """Yield the lines of a table, the titles first.

    The layouts are ordered from wide to narrow. The first one that has room in `width` is used; without a width, the
    first one.
    """
    columns, cells = _chosen(rows, layouts, width)
    plain = all(cell.isascii() for row in cells for cell in row)
    measure = len if plain else width_of
    widths = [max(map(measure, column)) for column in zip(*cells, strict=True)]
    shrunk = width is not None and _shrink(widths, columns, width)
    rights = [column.right for column in columns]
    for number, row in enumerate(cells):
        for line in _folded(row, columns, widths) if shrunk else (row,):
            padded = pad(line, widths, rights)
            if number and coloured:
                padded = [
                    colour.paint(cell) if column.state else cell
                    for cell, column in zip(padded, columns, strict=True)
                ]
            yield "  ".join(padded).rstrip()


def _chosen(
    rows: Sequence[T], layouts: Sequence[Sequence[Column[T]]], width: int | None
) -> tuple[list[Column[T]], Cells]:
    """Return the layout to use: the first with room for all, else the first narrow one with room for its numbers."""
    if width is None:
        return list(layouts[0]), _cells(rows, layouts[0])
    tried = []
    for layout in layouts:
        columns, cells = _without_spare(layout, _cells(rows, layout), width)
        if _total(map(_widest, zip(*cells, strict=True))) <= width:
            return columns, cells
        tried.append((columns, cells))
    return next((each for each in tried[1:] if _least(*each) <= width), tried[-1])


def _cells(rows: Iterable[T], columns: Sequence[Column[T]]) -> Cells:
    titles = [escaped(column.title) for column in columns]
    return [titles, *([escaped(str(column.value(row))) for column in columns] for row in rows)]


def _without_spare(
    columns: Sequence[Column[T]], cells: Cells, width: int
) -> tuple[list[Column[T]], Cells]:
    """Leave out spare columns that say nothing, the last one first, until there is room."""
    widths = list(map(_widest, zip(*cells, strict=True)))
    kept = list(range(len(widths)))
    for i, column in reversed(list(enumerate(columns))):
        if _total(widths[k] for k in kept) <= width:
            break
        if column.spare and all(row[i] == column.spare for row in cells[1:]):
            kept.remove(i)
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in cells]


def _least(columns: Sequence[Column[T]], cells: Cells) -> int:
    widths = map(_widest, zip(*cells, strict=True))
    return _total(
        width if column.least is None else min(width, column.least)
        for width, column in zip(widths, columns, strict=True)
    )


def _widest(cells: Iterable[str]) -> int:
    return max(map(width_of, cells))


def _total(widths: Iterable[int]) -> int:
    return sum(width + 2 for width in widths) - 2


def _shrink(widths: list[int], columns: Sequence[Column[T]], width: int) -> bool:
    """Reduce the widest columns until the table fits, names after everything else; return whether that was needed."""
    if _total(widths) <= width:
        return False
    for names in (False, True):
        least = {
            i: column.least
            for i, column in enumerate(columns)
            if column.least is not None and (column.fit is Fit.START) is names
        }
        while _total(widths) > width:
            wide = [i for i, smallest in least.items() if widths[i] > smallest]
            if not wide:
                break
            widths[max(wide, key=lambda i: widths[i])] -= 1
    return True


def _folded(
    row: Sequence[str], columns: Sequence[Column[T]], widths: Sequence[int]
) -> Iterator[Sequence[str]]:
    parts = (
        column.fitted(cell, width) for cell, column, width in zip(row, columns, widths, strict=True)
    )
    yield from zip_longest(*parts, fillvalue="")


def align(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Pad the cells of each column to one width."""
    widths = list(map(_widest, zip(*rows, strict=True)))
    return [pad(row, widths, [False] * len(widths)) for row in rows]


def pad(cells: Sequence[str], widths: Sequence[int], rights: Sequence[bool]) -> list[str]:
    """Pad cells to widths; numbers to the right."""
    return [
        cell.rjust(width - _extra(cell)) if right else cell.ljust(width - _extra(cell))
        for cell, width, right in zip(cells, widths, rights, strict=True)
    ]


def _extra(cell: str) -> int:
    """Return how many columns a text takes beyond its number of characters."""
    return 0 if cell.isascii() else width_of(cell) - len(cell)


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def cut(text: str, width: int) -> str:
    """Return text that fits, with "..." in place of the end that was left out."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > max(width - 3, 0):
        text = text[:-1]
    return text + "..."


def cut_start(text: str, width: int) -> str:
    """Return text that fits, with "..." in place of the start that was left out."""
    if width_of(text) <= width:
        return text
    while text and width_of(text) > max(width - 3, 0):
        text = text[1:]
    return "..." + text


def fold(text: str, width: int) -> Iterator[str]:
    """Yield text in lines of at most `width`, broken between words; a longer word is broken within."""
    line = ""
    for word in re.split(r" (?!%)", text):
        if line and width_of(line) + 1 + width_of(word) <= width:
            line += f" {word}"
            continue
        if line:
            yield line
        line = word
        while width_of(line) > width:
            end = next(n for n in range(len(line), 0, -1) if width_of(line[:n]) <= width)
            yield line[:end]
            line = line[end:]
    yield line
