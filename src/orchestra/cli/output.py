"""How things are printed: tables and JSON on stdout; notes, questions and progress on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TextIO, TypeVar

from orchestra.cli.terminal import CLEAR_LINE, ESC, one_line
from orchestra.domain import human
from orchestra.domain.errors import BadInput, OrchestraError
from orchestra.domain.escaping import escaped

T = TypeVar("T")
Record = dict[str, Any]

_COLOURS = {
    "REGISTERED": "2", "TESTING": "36", "RUNNING": "34", "DONE": "32", "FINALIZED": "33",
    "BROKEN": "31", "KILL": "35", "KILLED": "35", "FAILED": "31", "ASSIGNED": "2", "HELD": "33",
    "ONLINE": "32", "OFFLINE": "31", "DRAINED": "33", "LEAVING": "33",
}  # fmt: skip
_LEAST_WIDTH = 8
_LEAST_FOLDED = 30


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column of a table. Text is cut on a narrow terminal; numbers (`right`), states and what is `whole` never are.

    `spare`: where the terminal has no room for it, it is left out if each of its rows says this.
    """

    title: str
    value: Callable[[T], object]
    right: bool = False
    state: bool = False
    spare: str | None = None
    whole: bool = False


@dataclass(slots=True)
class Output:
    """Where a command prints, and in which of the forms."""

    form: str = "table"
    quiet: bool = False

    @property
    def for_people(self) -> bool:
        """Whether somebody reads it, for whom a hint may stand beside it."""
        return self.form == "table" and not self.quiet

    def say(self, *lines: str) -> None:
        """Print what the command was asked for: a line each, an empty one if there is none."""
        print("\n".join(map(one_line, lines)))

    def note(self, *lines: str) -> None:
        """Print hints or words about progress: on stderr, so that stdout can be piped."""
        sys.stdout.flush()
        print("\n".join(map(one_line, lines)), file=sys.stderr, flush=True)

    def items(
        self,
        things: Iterable[T],
        columns: Sequence[Column[T]],
        *,
        record: Callable[[T], Record],
        key: Callable[[T], object],
        empty: str,
        narrow: Sequence[Column[T]] | None = None,
    ) -> None:
        """Print a list. `empty` is noted where a table would have no rows.

        `narrow` are the columns for a terminal that has no room for the others.
        """
        if self.form == "json":
            _print_list(map(record, things))
        elif self.quiet:
            for thing in things:
                print(one_line(str(key(thing))))
        elif rows := list(things):
            self.table(rows, columns, narrow)
        else:
            self.note(empty)

    def item(
        self,
        thing: T,
        lines: Callable[[T], Iterable[str]],
        *,
        record: Callable[[T], Record],
        key: Callable[[T], object],
    ) -> None:
        """Print one thing."""
        if self.form == "json":
            print(to_json(record(thing)))
        elif self.quiet:
            print(one_line(str(key(thing))))
        else:
            for line in lines(thing):
                print(one_line(line))

    def table(
        self,
        rows: Sequence[T],
        columns: Sequence[Column[T]],
        narrow: Sequence[Column[T]] | None = None,
    ) -> None:
        """Print rows under the columns' titles; under those of `narrow` where the terminal has no room for these."""
        cells = _cells(rows, columns)
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        if width is not None:
            columns, cells = _with_room(columns, cells, width)
            if narrow and _total(cells) > width:
                columns, cells = _with_room(narrow, _cells(rows, narrow), width)
        rights = [column.right for column in columns]
        states = [i for i, column in enumerate(columns) if column.state]
        colour = coloured(sys.stdout)
        uncut = [i for i, column in enumerate(columns) if column.state or column.whole]
        for number, line in enumerate(align(cells, rights, width, uncut)):
            if number and colour:
                line = [paint(c) if i in states else c for i, c in enumerate(line)]
            print("  ".join(line).rstrip())

    def ask(self, question: str, *, yes: bool = False) -> bool:
        """Ask a question whose answer is no unless it is yes.

        Raises:
            BadInput: there is nobody to ask, and `yes` was not given.
        """
        if yes:
            return True
        self.check_can_ask(question)
        sys.stdout.flush()
        print(f"{one_line(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def check_can_ask(self, question: str) -> None:
        """Refuse before anything is done where an answer will be needed and nobody can give one.

        Raises:
            BadInput: there is no terminal.
        """
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise BadInput(
                f'there is no terminal to ask at: "{question}"', hint="Say --yes if you mean it."
            )

    def progress(self, label: str, total: int | None = None, unit: str = "") -> Progress:
        """Give a line on stderr that shows how far something is; silent off a terminal."""
        return Progress(label, total, unit)


class Progress:
    """One line on a terminal that is rewritten at most ten times a second, and wiped at the end."""

    def __init__(self, label: str, total: int | None, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.count = 0
        self._shown = 0.0
        self._live = can_draw(sys.stderr)

    def __enter__(self) -> Progress:
        self._show(force=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)

    def advance(self, by: int = 1) -> None:
        """Say that `by` more are done."""
        self.count += by
        self._show()

    def set(self, count: int, label: str | None = None) -> None:
        """Say how many are done altogether, perhaps with other words."""
        self.count, self.label = count, label or self.label
        self._show()

    def _show(self, *, force: bool = False) -> None:
        now = time.monotonic()
        if not self._live or (now - self._shown < 0.1 and not force):
            return
        self._shown = now
        of = f" of {self.total}" if self.total is not None else ""
        bar = _bar(self.count, self.total) if self.total else ""
        counts = f" {self.count}{of} {self.unit}".rstrip() if self.count or self.total else ""
        label = clean(self.label)
        line = cut(f"{label}{bar}{counts}", shutil.get_terminal_size().columns - 1)
        print(f"{CLEAR_LINE}{line}", end="", file=sys.stderr, flush=True)


def _bar(count: int, total: int) -> str:
    filled = min(20, 20 * count // total)
    return f" [{'#' * filled}{'.' * (20 - filled)}]"


def _cells(rows: Iterable[T], columns: Sequence[Column[T]]) -> list[list[str]]:
    titles = [clean(column.title) for column in columns]
    return [titles, *([clean(str(column.value(row))) for column in columns] for row in rows)]


def _total(cells: Sequence[Sequence[str]]) -> int:
    """Give the width of a table of which nothing is cut."""
    return sum(max(map(_width, column)) + 2 for column in zip(*cells, strict=True)) - 2


def _with_room(
    columns: Sequence[Column[T]], cells: Sequence[Sequence[str]], width: int
) -> tuple[list[Column[T]], list[list[str]]]:
    """Give the columns that a narrow terminal gets; of the spare ones that say nothing, as many as have room."""
    spare = [(i, column.spare) for i, column in enumerate(columns) if column.spare]
    kept = _kept(cells, spare, width)
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in cells]


def _kept(
    cells: Sequence[Sequence[str]], spare: Sequence[tuple[int, str]], width: int
) -> list[int]:
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    kept = list(range(len(widths)))
    for i, nothing in reversed(spare):
        if sum(widths[k] + 2 for k in kept) - 2 <= width:
            break
        if all(row[i] == nothing for row in cells[1:]):
            kept.remove(i)
    return kept


def align(
    rows: Sequence[Sequence[str]],
    rights: Sequence[bool],
    width: int | None = None,
    whole: Sequence[int] = (),
) -> list[list[str]]:
    """Pad the cells of each column to one width; where `width` is too narrow, cut the widest text columns.

    The columns whose numbers are in `whole` are never cut.
    """
    if all(cell.isascii() for row in rows for cell in row):
        return _align_plain(rows, rights, width, whole)
    widths = [max(_width(row[i]) for row in rows) for i in range(len(rights))]
    if width is not None:
        _shrink(widths, rights, width, whole)
    return [
        [_pad(cut(cell, w), w, right) for cell, w, right in zip(row, widths, rights, strict=True)]
        for row in rows
    ]


def _align_plain(
    rows: Sequence[Sequence[str]],
    rights: Sequence[bool],
    width: int | None,
    whole: Sequence[int],
) -> list[list[str]]:
    """The same for letters that are one column wide each: long lists are, and their cells need no measuring."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if width is not None:
        _shrink(widths, rights, width, whole)
    formats = [
        (w, str.rjust if right else str.ljust) for w, right in zip(widths, rights, strict=True)
    ]
    return [
        [
            pad(cell if len(cell) <= w else cut(cell, w), w)
            for cell, (w, pad) in zip(row, formats, strict=True)
        ]
        for row in rows
    ]


def _shrink(widths: list[int], rights: Sequence[bool], width: int, whole: Sequence[int]) -> None:
    texts = [i for i, right in enumerate(rights) if not right and i not in whole]
    while texts and sum(widths) + 2 * (len(widths) - 1) > width:
        widest = max(texts, key=lambda i: widths[i])
        if widths[widest] <= _LEAST_WIDTH:
            return
        widths[widest] -= 1


def _pad(cell: str, width: int, right: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if right else cell + space


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def cut(text: str, width: int) -> str:
    """Give text that fits, with "..." where something was left out."""
    if _width(text) <= width:
        return text
    while text and _width(text) > max(width - 3, 0):
        text = text[:-1]
    return text + "..."


def with_tilde(text: str) -> str:
    """Write the home folder as ~ wherever a path in a text begins with it."""
    import re

    home = os.environ.get("HOME", "").rstrip("/")
    return re.sub(rf"(?<![\w/.-]){re.escape(home)}/", "~/", text) if home else text


def folded(text: str, *, indent: int) -> list[str]:
    """Give a sentence in lines that fit a terminal from column `indent` on; off a terminal it is one line."""
    room = shutil.get_terminal_size().columns - indent if sys.stdout.isatty() else 0
    if room < _LEAST_FOLDED:
        return [text]
    import textwrap

    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def local(moment: datetime, zone: bool = True) -> str:
    """A moment by this machine's clock: `2026-11-22 13:21:38 CET`."""
    here = moment.astimezone()
    return f"{here:%Y-%m-%d %H:%M:%S %Z}" if zone else f"{here:%Y-%m-%d %H:%M:%S}"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long ago a moment was: `3 min ago`; one to come: `in 3 min`."""
    return human.relative((moment - (now or datetime.now(UTC))).total_seconds())


clean = escaped
"""What is cut or aligned is cleaned before; the rest when it is printed."""


def can_draw(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can be drawn on; a dumb one would show the codes themselves."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(stream: TextIO) -> bool:
    """Whether colour is wanted on a stream (https://no-color.org)."""
    return can_draw(stream) and not os.environ.get("NO_COLOR")


def paint(cell: str) -> str:
    """Colour a state by its first word."""
    words = cell.split()
    colour = _COLOURS.get(words[0].strip(",").upper()) if words else None
    return f"{ESC}[{colour}m{cell}{ESC}[0m" if colour else cell


def paint_as(colour: str, text: str) -> str:
    """Colour text on stdout by the number of an SGR colour, where colour is wanted."""
    return f"{ESC}[{colour}m{text}{ESC}[0m" if coloured(sys.stdout) else text


def to_json(value: object) -> str:
    """Give JSON for programs: times in UTC by ISO 8601, text as it is."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _print_list(records: Iterable[Record]) -> None:
    """Print a JSON list one record after the other: there may be a million."""
    before = "["
    for record in records:
        print(f"{before}\n{textwrap.indent(to_json(record), '  ')}", end="")
        before = ","
    print("[]" if before == "[" else "\n]")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return str(value)


def print_error(error: OrchestraError) -> None:
    """Print what is wrong, and below it what to do."""
    from orchestra import command_words

    prefix = "error: "
    if coloured(sys.stderr):
        prefix = f"{ESC}[31merror:{ESC}[0m "
    # A driver's words may have several lines; what a name holds must not look like one.
    words = " ".join(line.strip() for line in command_words.message_of(error).splitlines())
    print(f"{prefix}{one_line(words)}", file=sys.stderr)
    for line in (command_words.hint_of(error) or "").splitlines():
        print(f"       {one_line(line)}", file=sys.stderr)
