"""The forms of output: lists, JSON, notes, questions and progress."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestra.cli.output import Output, clean, folded, local
from orchestra.cli.table import Column
from orchestra.domain.errors import BadInput
from orchestra.domain.plain_json import to_json


def test_sentences_are_folded_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_moments_are_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    try:
        assert local(datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)) == "2026-11-21 22:02:03 -03"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_control_characters_are_escaped() -> None:
    assert clean("a\nb\x1b[31mc\udcff") == "a\\nb\\x1b[31mc\\udcff"
    assert clean("é 日本 ok") == "é 日本 ok"


def test_json_has_times_in_utc_and_text_as_it_is() -> None:
    moment = datetime(2026, 11, 22, 12, 0, 0, 5000, tzinfo=timezone(timedelta(hours=1)))
    value = json.loads(to_json({"at": moment, "name": "é", "raw": b"a\xff"}))
    assert value == {"at": "2026-11-22T11:00:00.005000Z", "name": "é", "raw": "a\\xff"}
    assert datetime.fromisoformat(value["at"]).astimezone(UTC) == moment


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


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().progress("counting", 10) as progress:
        progress.advance(5)
    assert capsys.readouterr() == ("", "")
