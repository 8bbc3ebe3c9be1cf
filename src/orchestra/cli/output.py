"""Printing: tables and JSON on stdout; notes, questions and progress on stderr."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from orchestra.cli import table
from orchestra.cli.colour import coloured
from orchestra.cli.table import Column
from orchestra.cli.terminal import ESC, one_line
from orchestra.domain import human
from orchestra.domain.errors import BadInput, OrchestraError
from orchestra.domain.escaping import escaped
from orchestra.domain.plain_json import to_json

if TYPE_CHECKING:
    from orchestra.cli.progress import Progress

T = TypeVar("T")
Record = dict[str, Any]

_LEAST_FOLDED = 30


@dataclass(slots=True)
class Output:
    """What a command prints with, in the form that was asked for."""

    form: str = "table"
    quiet: bool = False

    @property
    def for_people(self) -> bool:
        """Whether the output is for people: hints are welcome then."""
        return self.form == "table" and not self.quiet

    def say(self, *lines: str) -> None:
        """Print lines of the result; an empty line if there are none."""
        print("\n".join(map(one_line, lines)))

    def note(self, *lines: str) -> None:
        """Print hints on stderr, so that stdout can be piped."""
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
        narrow: Sequence[Sequence[Column[T]]] = (),
    ) -> None:
        """Print a list; instead of a table without rows, note `empty`.

        `narrow` holds the columns for terminals without room for the others, from wide to narrow.
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
        narrow: Sequence[Sequence[Column[T]]] = (),
    ) -> None:
        """Print rows under the titles of the columns, or of those of `narrow` that a terminal has room for."""
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in table.lines(rows, (columns, *narrow), width, coloured=coloured(sys.stdout)):
            print(line)

    def ask(self, question: str, *, yes: bool = False) -> bool:
        """Ask a yes-or-no question; no is the default.

        Raises:
            BadInput: there is no terminal, and `yes` was not given.
        """
        if yes:
            return True
        self.check_can_ask(question)
        sys.stdout.flush()
        print(f"{one_line(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def check_can_ask(self, question: str) -> None:
        """Refuse, before anything is done, a command that will need an answer.

        Raises:
            BadInput: there is no terminal.
        """
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise BadInput(
                f'there is no terminal to ask at: "{question}"', hint="Use --yes to answer yes."
            )

    def progress(self, label: str, total: int | None = None, unit: str = "") -> Progress:
        """Return a progress line for stderr; silent when that is not a terminal."""
        from orchestra.cli.progress import Progress

        return Progress(label, total, unit)


def with_tilde(text: str) -> str:
    """Return a text with the home folder written as ~ in its paths."""
    import re

    home = os.environ.get("HOME", "").rstrip("/")
    return re.sub(rf"(?<![\w/.-]){re.escape(home)}/", "~/", text) if home else text


def folded(text: str, *, indent: int) -> list[str]:
    """Return a sentence in lines that fit a terminal from column `indent` on; one line when there is no terminal."""
    room = shutil.get_terminal_size().columns - indent if sys.stdout.isatty() else 0
    if room < _LEAST_FOLDED:
        return [text]
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def local(moment: datetime, zone: bool = True) -> str:
    """A moment in local time: `2026-11-22 13:21:38 CET`."""
    here = moment.astimezone()
    return f"{here:%Y-%m-%d %H:%M:%S %Z}" if zone else f"{here:%Y-%m-%d %H:%M:%S}"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """A moment relative to now: `3 min ago`, `in 3 min`."""
    return human.relative((moment - (now or datetime.now(UTC))).total_seconds())


clean = escaped
"""Text that is cut or aligned is escaped first; everything else is when it is printed."""


def _print_list(records: Iterable[Record]) -> None:
    """Print a JSON list record by record: there may be a million."""
    before = "["
    for record in records:
        print(f"{before}\n{textwrap.indent(to_json(record), '  ')}", end="")
        before = ","
    print("[]" if before == "[" else "\n]")


def print_error(error: OrchestraError) -> None:
    """Print an error, and below it what to do."""
    from orchestra import command_words

    prefix = "error: "
    if coloured(sys.stderr):
        prefix = f"{ESC}[31merror:{ESC}[0m "
    # A driver's message may have several lines; a newline in a name must not look like one.
    words = " ".join(line.strip() for line in command_words.message_of(error).splitlines())
    print(f"{prefix}{one_line(words)}", file=sys.stderr)
    for line in (command_words.hint_of(error) or "").splitlines():
        print(f"       {one_line(line)}", file=sys.stderr)
