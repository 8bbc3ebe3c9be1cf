"""The parser of a command, made from its entry in the registry."""

from __future__ import annotations

from orchestra.cli.parser import Parser
from orchestra.cli.registry import Verb

_CONFIG = "--config"
_FALLBACK = "--configuration"
"""For the commands that have a --config of their own."""


def make_parser(verb: Verb, command: str) -> Parser:
    """Return the parser of one command."""
    parser = Parser(
        prog=f"maestro {command}",
        description=verb.description or verb.help[:1].upper() + verb.help[1:] + ".",
        epilog=_example_of(verb),
    )
    fill(parser, verb)
    return parser


def fill(parser: Parser, verb: Verb) -> None:
    """Add the arguments of a verb and the common ones."""
    verb.arguments(parser)
    common = parser.add_argument_group("common")
    if verb.output:
        common.add_argument(
            "-o",
            "--output",
            choices=verb.forms,
            default="table",
            help="output format (default table)",
        )
        common.add_argument(
            "-q", "--quiet", action="store_true", help="print only names or ids, one per line"
        )
    common.add_argument(
        _FALLBACK if _has(parser, _CONFIG) else _CONFIG,
        dest="configuration",
        metavar="FILE",
        help="configuration file (default ~/.orchestra.json)",
    )


def before(parser: Parser, options: list[str]) -> list[str]:
    """Return the options that were typed before the command; there, --config always is the configuration file."""
    return [_FALLBACK if each == _CONFIG and _has(parser, _FALLBACK) else each for each in options]


def _has(parser: Parser, option: str) -> bool:
    return option in parser._option_string_actions


def _example_of(verb: Verb) -> str:
    """Return the epilog: the examples of a verb, ready to copy."""
    lines = "".join(f"\n  {line}" for line in verb.example.splitlines())
    return f"Example:{lines}" if lines else ""
