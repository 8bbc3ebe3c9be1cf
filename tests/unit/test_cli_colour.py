"""When the command line writes colours: in lists and in help alike."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from orchestra.cli.colour import paint
from orchestra.cli.main import main
from orchestra.cli.output import Output
from orchestra.cli.table import Column
from orchestra.cli.terminal import guarded

VARIABLES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM")


def test_only_known_states_are_coloured() -> None:
    assert guarded(paint("FAILED  ")) == "\x1b[31mFAILED  \x1b[0m"
    assert guarded(paint("online")) == "\x1b[32monline\x1b[0m"
    assert paint("something") == "something"
    assert paint("   ") == "   "


def _list() -> None:
    columns = (Column[str]("STATE", lambda state: state, state=True),)
    Output().table(["DONE"], columns)


def _help() -> None:
    main(["user", "list", "--help"])


@pytest.mark.parametrize("show", [_list, _help])
@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": "0"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"CLICOLOR": "0"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
        (False, {"CLICOLOR_FORCE": "1"}, True),
        (False, {"CLICOLOR_FORCE": "0"}, False),
        (False, {"CLICOLOR_FORCE": ""}, False),
        (True, {"CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}, False),
        (False, {"NO_COLOR": "", "FORCE_COLOR": "1"}, True),
    ],
)
def test_the_variables_count_for_lists_and_help_alike(
    show: Callable[[], None],
    terminal: bool,
    variables: dict[str, str],
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    show()
    assert ("\x1b" in capsys.readouterr().out) is coloured
