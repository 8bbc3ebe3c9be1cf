"""The manual pages name all commands and options, and are what man can render."""

from __future__ import annotations

import re
import subprocess
from argparse import SUPPRESS
from pathlib import Path

import pytest

from orchestra.cli.command_parser import make_parser
from orchestra.cli.registry import WORDS
from orchestra.config import SETTINGS
from tools import hatch_build, man_pages

PAGES = man_pages.pages()
MACROS = {"TH", "SH", "SS", "PP", "TP", "B", "I", "EX", "EE", "br", "nh"}
ESCAPES = r"\\(?:[e&-]|f[BIR]|\((?:aq|ga|ha|ti))"


def test_each_noun_has_a_page_and_every_option_is_on_one() -> None:
    assert set(PAGES) == {"maestro.1", *(f"maestro-{w.name}.1" for w in WORDS if w.is_noun)}
    for word in WORDS:
        page = PAGES[f"maestro-{word.name}.1" if word.is_noun else "maestro.1"]
        for verb in word.verbs():
            command = f"{word.name} {verb.name}" if word.is_noun else word.name
            section = page.partition(f".SS maestro {command}\n")[2].partition("\n.S")[0]
            actions = make_parser(verb, command)._actions
            options = {o for a in actions if a.help != SUPPRESS for o in a.option_strings}
            shown = set(re.findall(r"\\fB(\S+?)\\fR", section))
            assert {o.replace("-", r"\-") for o in options - {"-h", "--help"}} <= shown


def test_the_main_page_has_settings_and_exit_statuses() -> None:
    assert all(rf"\fB{setting.name}\fR" in PAGES["maestro.1"] for setting in SETTINGS)
    assert re.search(
        r"\.SH EXIT STATUS\n\.TP\n\\fB0\\fR\n(.*\n)*\.TP\n\\fB130\\fR\n", PAGES["maestro.1"]
    )


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_ascii_with_known_macros_and_escapes(name: str) -> None:
    page = PAGES[name]
    assert page.isascii()
    assert set(re.findall(r"^\.(\w+)", page, re.M)) <= MACROS
    assert page.count("\n.EX\n") == page.count("\n.EE\n")
    assert not re.search(r"^(?:'|\.\W|$)", page[:-1], re.M)
    assert "\\" not in re.sub(ESCAPES, "", page)


@pytest.mark.needs("groff")
def test_groff_renders_all_without_a_warning(tmp_path: Path) -> None:
    for name, page in PAGES.items():
        (tmp_path / name).write_text(page)
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", *PAGES]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wheel_has_them_and_the_completion_files_where_programs_look() -> None:
    files = hatch_build.generated_files()
    assert files["share/man/man1/maestro-task.1"] == PAGES["maestro-task.1"]
    assert "_maestro_task()" in files["share/zsh/site-functions/_maestro"]
    assert files["share/zsh/site-functions/_maestro"].startswith("#compdef maestro\n")
    assert "complete " in files["share/bash-completion/completions/maestro"]
    assert "complete -c maestro" in files["share/fish/vendor_completions.d/maestro.fish"]
