"""The manual pages: maestro(1), and one for each noun such as maestro-task(1), written from the parsers.

    python tools/man_pages.py FOLDER     writes them, to read one with `man FOLDER/maestro.1`

tools/hatch_build.py adds them to the package. Only the package itself and the standard library are imported.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from orchestra import __version__
from orchestra.cli import reference
from orchestra.cli.command_parser import make_parser
from orchestra.cli.help_text import folded
from orchestra.cli.registry import WORDS, Verb, Word
from orchestra.config import SETTINGS

# A hyphen that is copied into a shell has to be a hyphen, and a quote a quote, whatever the output device.
_CODE = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
)
_PROSE = str.maketrans({"\\": r"\e", "^": r"\(ha", "~": r"\(ti"})
_WIDTH = 72  # columns for an example, within the margins of a terminal of 80
_EXIT_STATUS = re.compile(r"^\| ([\d, ]+) \| (.+) \|$", re.MULTILINE)


def pages() -> dict[str, str]:
    """The text of each page by its file name."""
    nouns = [word for word in WORDS if word.is_noun]
    return {"maestro.1": _main_page(nouns)} | {
        f"maestro-{noun.name}.1": _noun_page(noun) for noun in nouns
    }


def _main_page(nouns: list[Word]) -> str:
    short = [word for word in WORDS if not word.is_noun]
    return _joined(
        _head("maestro", "run one command over many configuration files on a group of machines"),
        [".SH SYNOPSIS", r".B maestro", ".I command", r"[options]"],
        [".br", r".B maestro", ".I noun verb", r"[options]"],
        [".SH DESCRIPTION", *_prose(_DESCRIPTION)],
        [".SH NOUNS", *_prose("Each noun has verbs, and a manual page of its own:")],
        *([".TP", _bold(f"maestro-{noun.name}") + "(1)", _text(noun.help)] for noun in nouns),
        [".SH COMMANDS"],
        *(_verb(word.name, verb) for word in short for verb in word.verbs()),
        [".SH EXIT STATUS"],
        *([".TP", _bold(status), _text(meaning)] for status, meaning in _exit_statuses()),
        [".SH CONFIGURATION", *_prose(_CONFIGURATION)],
        *([".TP", _setting(one.name, one.default), _text(one.meaning)] for one in SETTINGS),
        [".SH ENVIRONMENT"],
        [".TP", _bold("MAESTRO_KEY"), "The setting of that name in upper case, such as"],
        [r"\fBMAESTRO_POSTGRES\fR. It takes precedence over the files."],
        [".TP", _bold("MAESTRO_CONFIG"), "The file that replaces the user's configuration."],
        [
            ".TP",
            _bold("MAESTRO_SYSTEM_CONFIG"),
            "The file that replaces the machine's configuration;",
        ],
        ["if it is empty, there is none."],
        [".TP", _bold("NO_COLOR"), "No colors, if it is set."],
        [".TP", f"{_bold('FORCE_COLOR')}, {_bold('CLICOLOR_FORCE')}"],
        ["Colors also where the output is not a terminal."],
        [".SH FILES", ".TP", r".I \(ti/.orchestra.json", "The user's configuration."],
        [
            ".TP",
            ".I /etc/orchestra.json",
            "The machine's configuration; the user's takes precedence, key by key.",
        ],
        [".SH SEE ALSO", ",\n".join(_reference(f"maestro-{noun.name}") for noun in nouns)],
    )


_DESCRIPTION = """\
Orchestra runs one command over many configuration files on the CPU and GPU slots of a group of machines.
It runs ten test jobs before the rest, keeps the state of every job in PostgreSQL, and retries what failed.
Running jobs survive the loss of any other part.

`maestro up` starts everything on this machine. `maestro task create` submits work, and `maestro task list` shows it.
Every command prints its options and an example with `--help`."""
_CONFIGURATION = """\
A JSON object in `~/.orchestra.json`, or in the file that `--config` names; below it, for the whole machine, in
`/etc/orchestra.json`. Every key is optional:"""


def _noun_page(noun: Word) -> str:
    others = ["maestro", *(w.name for w in WORDS if w.is_noun and w is not noun)]
    also = (name if name == "maestro" else f"maestro-{name}" for name in others)
    aliases = f" Also `maestro {'`, `'.join(noun.aliases)}`." if noun.aliases else ""
    return _joined(
        _head(f"maestro-{noun.name}", noun.help),
        [".SH SYNOPSIS", rf".B maestro {noun.name}", ".I verb", "[options]"],
        [".SH DESCRIPTION", *_prose(f"{noun.help[:1].upper()}{noun.help[1:]}.{aliases}")],
        [".SH COMMANDS"],
        *(_verb(f"{noun.name} {verb.name}", verb) for verb in noun.verbs()),
        [".SH SEE ALSO", ",\n".join(map(_reference, also))],
    )


def _joined(*parts: list[str]) -> str:
    return "".join(f"{line}\n" for part in parts for line in part)


def _head(name: str, summary: str) -> list[str]:
    title = name.translate(_CODE)
    return [
        f'.TH {title.upper()} 1 "" "Orchestra {__version__}" "Orchestra Manual"',
        ".nh",
        ".SH NAME",
        rf"{title} \- {_text(summary)}",
    ]


def _verb(command: str, verb: Verb) -> list[str]:
    parser = make_parser(verb, command)
    actions = [a for a in parser._actions if a.dest != "help" and a.help != argparse.SUPPRESS]
    lines = [f".SS maestro {command}", *_synopsis(command, actions)]
    lines += [".PP", *_prose(parser.description or "")]
    for action in actions:
        lines += [".TP", _argument(action), _text((action.help or "").replace("%%", "%"))]
    if verb.example:
        title = "Examples:" if "\n" in verb.example else "Example:"
        indented = "\n".join(f"    {line}" for line in verb.example.splitlines())
        lines += [".PP", title, *_block(folded(indented, _WIDTH).splitlines())]
    return lines


def _synopsis(command: str, actions: list[argparse.Action]) -> list[str]:
    needed = [action for action in actions if action.required and action.option_strings]
    words = [f"{_bold(action.option_strings[0])} {_value(action)}" for action in needed]
    words += [_positional(action) for action in actions if not action.option_strings]
    return [".PP", " ".join([_bold(f"maestro {command}"), *words, "[options]"])]


def _argument(action: argparse.Action) -> str:
    if not action.option_strings:
        return _positional(action)
    names = ", ".join(map(_bold, action.option_strings))
    return names if action.nargs == 0 else f"{names} {_value(action)}"


def _positional(action: argparse.Action) -> str:
    repeated = "..." if action.nargs in ("*", "+") else ""
    value = f"{_value(action)}{repeated}"
    return f"[{value}]" if action.nargs in ("*", "?") else value


def _value(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    choices = "|".join(map(str, action.choices)) if action.choices else None
    return rf"\fI{(metavar or choices or action.dest.upper()).translate(_CODE)}\fR"


def _setting(name: str, default: str) -> str:
    return f"{_bold(name)} ({_text(default)})" if default else _bold(name)


def _exit_statuses() -> list[tuple[str, str]]:
    return _EXIT_STATUS.findall(reference.commands_page())


def _prose(text: str) -> Iterator[str]:
    """Paragraphs; indented lines, which are examples and tables, stay as they are."""
    for is_block, lines in groupby(text.splitlines(), key=lambda line: line.startswith(" ")):
        if is_block:
            yield from _block(list(lines))
        else:
            yield from (_text(line) or ".PP" for line in lines)


def _block(lines: list[str]) -> list[str]:
    return [".PP", ".EX", *(line.translate(_CODE) for line in lines), ".EE"]


def _text(text: str) -> str:
    """A line of prose, with `code` in bold."""
    plain, code = text.split("`")[::2], text.split("`")[1::2]
    parts = [part.translate(_PROSE) for part in plain]
    for at, part in enumerate(code):
        parts[at] += _bold(part)
    return re.sub(r"^(?=[.'])", r"\\&", "".join(parts))


def _bold(text: str) -> str:
    return rf"\fB{text.translate(_CODE)}\fR"


def _reference(name: str) -> str:
    return f"{_bold(name)}(1)"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for file, page in pages().items():
        (folder / file).write_text(page, encoding="utf-8")
