"""`maestro completion`: completion scripts, and the names that they complete."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from orchestra.cli.registry import WORDS, Verb, Word
from orchestra.domain import human
from orchestra.domain.errors import BadInput

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser

SHELLS = ("bash", "zsh", "fish", "tcsh")
KINDS = ("task", "dataset", "node", "pool", "user")
_BY_METAVAR = {
    "TASK": "task",
    "TASK/N": "task",
    "DATASET": "dataset",
    "NODE": "node",
    "POOL": "pool",
}
# Verbs whose names are new: no existing name is offered.
_NEW = {"node create", "pool create", "dataset create", "dataset sweep", "user create"}
_PATIENCE = 2.0
"""Seconds to wait for the database after Tab was pressed."""


def _arguments(parser: Parser) -> None:
    parser.add_argument("shell", nargs="?", choices=SHELLS, help="which shell")
    parser.add_argument(
        "--names", choices=KINDS, help="print the names of this kind; used by the scripts"
    )


def _print(ctx: Context) -> None:
    if ctx.args.names:
        for name in _names(ctx):
            ctx.out.say(name)
        return
    shell = ctx.args.shell
    if not shell:
        raise BadInput(f"name a shell: {human.listed(SHELLS, last='or')}.")
    sys.stdout.flush()
    sys.stdout.buffer.write(script(shell).encode())


def script(shell: str) -> str:
    """Return the completion script for one of SHELLS."""
    import shtab

    preamble = "\n".join(_ZSH.format(kind=kind) for kind in KINDS) if shell == "zsh" else ""
    return f"{shtab.complete(_tree(), shell, preamble=preamble)}\n"


_ZSH = """_maestro_{kind}() {{
  compadd -- ${{(f)"$(command maestro completion --names {kind} 2>/dev/null)"}}
}}"""


def _names(ctx: Context) -> list[str]:
    """Return the newest names; none if the database does not answer in time. Start nothing and print no error."""
    from contextlib import closing

    from orchestra.interface.names import ListNames
    from orchestra.wiring.interface import my_name, open_quick_interface
    from orchestra.wiring.settings import load_settings

    try:
        settings = load_settings(ctx.args.configuration)
        with closing(open_quick_interface(settings, patience=_PATIENCE)) as ask:
            found = ask(ListNames(ctx.args.names))
            mine = f"user.{my_name(settings, ask)}."
    except Exception:  # noqa: BLE001 - a completing shell cannot show an error
        return []
    short = [name.removeprefix(mine) for name in found if name.startswith(mine)]
    return [*short, *found]


def _tree() -> Parser:
    """Return one parser with all commands as subparsers."""
    from orchestra.cli.parser import Parser

    root = Parser(prog="maestro")
    words = root.add_subparsers(parser_class=Parser)
    for word in WORDS:
        for name in (word.name, *word.aliases):
            _add_word(words.add_parser(name, help=word.help), word)
    return root


def _add_word(parser: Parser, word: Word) -> None:
    from orchestra.cli.parser import Parser

    if not word.is_noun:
        _add_verb(parser, word, word.verbs()[0])
        return
    verbs = parser.add_subparsers(parser_class=Parser)
    for verb in word.verbs():
        for name in (verb.name, *verb.aliases):
            _add_verb(verbs.add_parser(name, help=verb.help), word, verb)


def _add_verb(parser: Parser, word: Word, verb: Verb) -> None:
    from orchestra.cli.command_parser import fill

    fill(parser, verb)
    for action in parser._actions:
        _complete(action, word.name, verb.name)


def _complete(action: argparse.Action, noun: str, verb: str) -> None:
    """Set how the shell finds the values of an argument."""
    import shtab

    kind = kind_of(action, noun, verb)
    if kind:
        command = shtab.cmd(f"command maestro completion --names {kind} 2>/dev/null")
        action.complete = {**command, "zsh": f"_maestro_{kind}"}  # type: ignore[attr-defined]
    elif action.metavar in ("FILE", "PATH"):
        action.complete = shtab.FILE  # type: ignore[attr-defined]
    elif action.metavar == "FOLDER":
        action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]


def kind_of(action: argparse.Action, noun: str, verb: str) -> str | None:
    """Return which of KINDS an argument names; None for a new name or anything else."""
    names, metavar = action.option_strings, action.metavar
    if not isinstance(metavar, str) or (f"{noun} {verb}" in _NEW and "--user" not in names):
        return None
    if metavar != "NAME":
        return _BY_METAVAR.get(metavar)
    if "--user" in names:
        return "user"
    if "--task" in names:
        return None if verb in ("create", "repro", "run") else "task"
    return noun if noun in KINDS and (not names or "--name" in names) else None


VERBS = (
    Verb(
        "completion",
        "print a completion script for bash, zsh, fish or tcsh",
        _print,
        _arguments,
        description="Print the script with which bash, zsh, fish or tcsh completes commands, options, and the names of "
        "tasks, data sets, nodes, pools and users. Names are read from the database when you press Tab, if it answers "
        "within two seconds.",
        example="maestro completion bash > ~/.local/share/bash-completion/completions/maestro\n"
        "maestro completion zsh > ~/.zfunc/_maestro\n"
        "maestro completion fish > ~/.config/fish/completions/maestro.fish",
    ),
)
