"""Control characters of names, rows and files reach no terminal and no mail."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest

from orchestra.cli import table
from orchestra.cli.output import Output, print_error
from orchestra.cli.table import Column
from orchestra.cli.terminal import ESC, Guarded, LogPrinter, guard, guarded, one_line
from orchestra.domain.errors import BadInput
from orchestra.domain.escaping import escaped
from orchestra.domain.plain_json import to_json
from orchestra.domain.results import Row, table_of
from orchestra.domain.usage import Usage
from orchestra.reports import sheet_files

HOSTILE = "a\x1b]0;title\x07\x1b[31m\x9b31m\x7f\t\r\b\u202eb\udc80\x85\u2028c\x00\x0b"
"""C0, C1, DEL, a turn of direction, half a character, line ends that are none."""


def is_plain(text: str) -> bool:
    return text.replace("\n", "").isprintable()


def test_all_that_is_not_printable_is_spelled_out() -> None:
    assert escaped("a\n\x1b[31m\x9b\x7f\u202e\udc80é 漢 🙂") == (
        r"a\n\x1b[31m\x9b\x7f\u202e\udc80é 漢 🙂"
    )
    assert is_plain(escaped(HOSTILE))
    assert escaped("a\nb\tc", keep="\n") == "a\nb\\tc"


def test_own_sequences_pass_and_others_do_not() -> None:
    line = one_line(f"{ESC}[31m{HOSTILE}{ESC}[0m\nnext")
    assert guarded(line).count("\x1b") == 2
    assert guarded(line).startswith("\x1b[31ma\\x1b]0;title")
    assert "\n" not in line
    assert guarded("\x1b[31m") == "\\x1b[31m"
    assert guarded("a\nb\r\n") == "a\nb\\r\n"


def test_a_guarded_stream_is_the_stream_in_all_else() -> None:
    below = io.StringIO()
    stream = guard(below)
    print(HOSTILE, file=stream)
    stream.writelines([HOSTILE, "\n"])
    assert is_plain(below.getvalue())
    assert below.getvalue().count("\n") == 2
    assert isinstance(guard(stream), Guarded)
    assert guard(stream) is stream
    assert not stream.isatty()


def test_every_way_to_print_is_safe_and_a_field_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, nasty = Output(), f"one\ntwo{HOSTILE}"
    columns = [Column[str](nasty, lambda text: text)]
    for form in (Output(), Output(quiet=True)):
        form.items([nasty], columns, record=lambda x: {x: x}, key=lambda x: x, empty="")
        form.item(nasty, lambda x: [x], record=lambda x: {x: x}, key=lambda x: x)
    out.items([], columns, record=lambda x: {x: x}, key=lambda x: x, empty=nasty)
    out.say(nasty)
    out.note(nasty)
    print_error(BadInput(nasty, hint=nasty))
    said = capsys.readouterr()
    assert is_plain(said.out)
    assert is_plain(said.err)
    assert said.out.count("\n") == 6


def test_json_spells_out_by_itself_and_says_the_same() -> None:
    value = {HOSTILE: [HOSTILE, "\U000e0001"]}
    text = to_json(value)
    assert is_plain(text)
    assert json.loads(text) == value


def test_a_csv_is_a_table_of_safe_cells() -> None:
    table = table_of([Row(0, HOSTILE, 1, "gauss", 1.0, Usage(1.0, 1), metrics={HOSTILE: HOSTILE})])
    file = io.BytesIO()
    sheet_files.csv_of(table.sheet, file)
    text = file.getvalue().decode()
    assert is_plain(text.replace("\t", ""))
    assert len(list(csv.reader(io.StringIO(text)))) == 2


class Screen(io.TextIOWrapper):
    def __init__(self, *, tty: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


LOG = [
    b"\xc3",
    b"\xa9 \x1b[3",
    b"1mred\x1b[0m\t\x1b]0;title\x07 50%\r100%\n\xff\xc2\x9b31m\x1b[2J\x1b",
]


@pytest.mark.parametrize("tty", [True, False])
def test_a_log_may_colour_a_terminal_and_no_more(
    monkeypatch: pytest.MonkeyPatch, tty: bool
) -> None:
    screen = Screen(tty=tty)
    monkeypatch.setattr(sys, "stdout", screen)
    printer = LogPrinter()
    for block in LOG:
        printer.write(block)
    printer.close()
    found = screen.buffer.getvalue()  # type: ignore[attr-defined]
    if not tty:
        assert found == b"".join(LOG)
        return
    assert found.decode() == (
        "é \x1b[31mred\x1b[0m\t\\x1b]0;title\\x07 50%\r100%\n\\xff\\x9b31m\\x1b[2J\\x1b\x1b[0m"
    )


def test_titles_are_cleaned_as_cells_are() -> None:
    assert is_plain("".join(table.lines([HOSTILE], [[Column(HOSTILE, str)]])))
