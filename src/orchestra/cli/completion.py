"""`maestro completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.registry import WORDS, Verb, Word

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser


def _arguments(parser: Parser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="which shell")


def _print(ctx: Context) -> None:
    import shtab

    ctx.out.say(shtab.complete(_tree(), ctx.args.shell))


def _tree() -> Parser:
    """Give one parser with all commands below it."""
    from orchestra.cli.parser import Parser

    root = Parser(prog="maestro")
    words = root.add_subparsers(parser_class=Parser)
    for word in WORDS:
        for name in (word.name, *word.aliases):
            _add_word(words.add_parser(name, help=word.help), word)
    return root


def _add_word(parser: Parser, word: Word) -> None:
    from orchestra.cli.parser import Parser, fill

    if not word.is_noun:
        fill(parser, word.verbs()[0])
        return
    verbs = parser.add_subparsers(parser_class=Parser)
    for verb in word.verbs():
        for name in (verb.name, *verb.aliases):
            fill(verbs.add_parser(name, help=verb.help), verb)


VERBS = (
    Verb(
        "completion",
        "print what bash or zsh needs to complete commands",
        _print,
        _arguments,
        example="maestro completion bash > ~/.local/share/bash-completion/completions/maestro\n"
        "maestro completion zsh > ~/.zfunc/_maestro",
    ),
)
