"""Tables, JSON, colours and cuts: pure functions of text."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestra.cli.output import (
    Column,
    Output,
    _kept,
    align,
    clean,
    cut,
    folded,
    local,
    paint,
    to_json,
)
from orchestra.cli.terminal import guarded
from orchestra.domain.errors import BadInput


def test_columns_stand_under_each_other_and_numbers_to_the_right() -> None:
    rows = [["ID", "TASK"], ["1", "user.ana.x"], ["10", "y"]]
    assert align(rows, [True, False]) == [
        ["ID", "TASK      "],
        [" 1", "user.ana.x"],
        ["10", "y         "],
    ]


def test_the_widest_text_is_cut_on_a_narrow_terminal_and_numbers_never() -> None:
    rows = [["N", "NAME", "NOTE"], ["123456789012", "short", "n" * 60]]
    [_, line] = align(rows, [True, False, False], width=50)
    assert len("  ".join(line)) == 50
    assert line[0] == "123456789012"
    assert line[2].endswith("...")
    [_, tight] = align(rows, [True, False, False], width=5)
    assert tight[0] == "123456789012"
    assert tight[2] == "nnnnn..."


def test_a_narrow_terminal_leaves_out_spare_columns_of_zeros_and_cuts_no_state() -> None:
    cells = [["TASK", "KILL", "KILLED", "STATE"], ["user.ana.area", "0", "0", "FINALIZED"]]
    spare = [(1, "0"), (2, "0")]
    assert _kept(cells, spare, 80) == [0, 1, 2, 3]
    assert _kept(cells, spare, 32) == [0, 1, 3], "the last spare one first"
    assert _kept(cells, spare, 20) == [0, 3]
    assert _kept([cells[0], ["user.ana.area", "0", "1", "KILLED"]], spare, 20) == [0, 2, 3]
    rows = align([["TASK", "STATE"], ["user.ana.area", "FINALIZED"]], [False] * 2, 20, whole=[1])
    assert rows[1] == ["user.a...", "FINALIZED"]


@pytest.mark.parametrize(("width", "shown"), [(75, "12 running..."), (80, "12 running, 1 done")])
def test_a_table_without_room_has_other_columns_and_whole_ones_are_not_cut(
    width: int, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"user.ana.{'n' * 51}"
    wide = [Column[int]("TASK", lambda _: name), Column[int]("COUNTS", lambda _: "c" * 40)]
    narrow = [
        Column[int]("TASK", lambda _: name, whole=True),
        Column[int]("JOBS", lambda _: "12 running, 1 done"),
        Column[int]("LEFT OUT", lambda _: "-", spare="-"),
    ]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    Output().table([1], wide, narrow)
    _, line = capsys.readouterr().out.splitlines()
    assert line == f"{name}  {shown}"
    monkeypatch.setenv("COLUMNS", "120")
    Output().table([1], wide, narrow)
    assert "c" * 40 in capsys.readouterr().out


def test_sentences_are_folded_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a sentence with words and a /path/that-is-long/and/never/broken in it"
    assert folded(text, indent=25) == [text]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "65")
    lines = folded(text, indent=25)
    assert " ".join(lines) == text
    assert max(map(len, lines)) <= 40
    assert folded("", indent=25) == [""]
    monkeypatch.setenv("COLUMNS", "40")
    assert folded(text, indent=25) == [text], "too narrow for it"


def test_moments_are_told_by_this_machines_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    try:
        assert local(datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)) == "2026-11-21 22:02:03 -03"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_wide_and_combining_letters_count_as_they_look() -> None:
    rows = [["A", "B"], ["日本", "x"], ["e\u0301", "y"], ["abcd", "z"]]
    lines = ["".join(line) for line in align(rows, [False, False])]
    assert lines == ["A   B", "日本x", "e\u0301   y", "abcdz"]


def test_control_characters_are_shown_not_sent() -> None:
    assert clean("a\nb\x1b[31mc\udcff") == "a\\nb\\x1b[31mc\\udcff"
    assert clean("é 日本 ok") == "é 日本 ok"


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abcdef", 6, "abcdef"), ("abcdef", 5, "ab..."), ("abcdef", 2, "...")],
)
def test_cut(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown


def test_json_has_times_in_utc_and_text_as_it_is() -> None:
    moment = datetime(2026, 11, 22, 12, 0, 0, 5000, tzinfo=timezone(timedelta(hours=1)))
    value = json.loads(to_json({"at": moment, "name": "é", "raw": b"a\xff"}))
    assert value == {"at": "2026-11-22T11:00:00.005000Z", "name": "é", "raw": "a\\xff"}
    assert datetime.fromisoformat(value["at"]).astimezone(UTC) == moment


def test_only_known_states_are_coloured() -> None:
    assert guarded(paint("FAILED  ")) == "\x1b[31mFAILED  \x1b[0m"
    assert guarded(paint("online")) == "\x1b[32monline\x1b[0m"
    assert paint("something") == "something"
    assert paint("   ") == "   "


def _names(output: Output, names: list[str]) -> None:
    columns: tuple[Column[str], ...] = (Column("NAME", lambda name: name),)
    output.items(
        names, columns, record=lambda n: {"name": n}, key=lambda n: n, empty="No names yet."
    )


def test_the_three_forms_of_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    _names(Output(), ["b", "a"])
    _names(Output(quiet=True), ["b", "a"])
    assert capsys.readouterr().out == "NAME\nb\na\nb\na\n"
    _names(Output(form="json"), ["b", "a"])
    assert json.loads(capsys.readouterr().out) == [{"name": "b"}, {"name": "a"}]


def test_an_empty_list_is_a_note_for_people_and_a_list_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _names(Output(), [])
    assert capsys.readouterr() == ("", "No names yet.\n")
    _names(Output(quiet=True), [])
    assert capsys.readouterr() == ("", "")
    _names(Output(form="json"), [])
    assert capsys.readouterr() == ("[]\n", "")


def test_nothing_is_asked_without_a_terminal() -> None:
    with pytest.raises(BadInput, match="no terminal to ask") as caught:
        Output().ask("Delete it?")
    assert "--yes" in (caught.value.hint or "")
    assert Output().ask("Delete it?", yes=True)


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().progress("counting", 10) as progress:
        progress.advance(5)
    assert capsys.readouterr() == ("", "")
