"""Write the reference pages from the parser, the settings and the errors: python -m orchestra.cli.reference docs

Writes commands.md, and the tables in configuration.md and client.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestra.cli.command_parser import make_parser
from orchestra.cli.exit_statuses import status_of
from orchestra.cli.registry import WORDS, Verb, Word
from orchestra.config import SETTINGS
from orchestra.domain import errors
from orchestra.domain.errors import OrchestraError

TABLE = re.compile(r"(?<=<!-- settings -->\n).*(?=<!-- end of settings -->)", re.DOTALL)
ERRORS = re.compile(r"(?<=<!-- errors -->\n).*(?=<!-- end of errors -->)", re.DOTALL)


def settings_table() -> str:
    """Return the settings as a Markdown table."""
    rows = [
        f"| `{one.name}` | {one.kind.replace('|', ' or ')} | {one.meaning} | {one.default} |\n"
        for one in SETTINGS
    ]
    return "| key | type | meaning | default |\n| --- | --- | --- | --- |\n" + "".join(rows)


def errors_table() -> str:
    """Return the errors with their codes and docstrings as a Markdown table."""
    rows = [
        f"| `{kind.code}` | `{kind.__name__}` | {status_of(kind())} | {kind()} |\n"
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, OrchestraError)
    ]
    return "| code | class | exit status | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)


def commands_page() -> str:
    """Return all commands with their options as Markdown."""
    return "# Commands\n\n" + _INTRODUCTION + "".join(_word(word) for word in WORDS)


_INTRODUCTION = """`maestro NOUN VERB --help` shows the same on the terminal. Every command takes `--config FILE`.
Commands with `-o json` write only JSON to stdout, with times in UTC. `maestro.py` is the same program.

## Exit statuses

| status | meaning |
| --- | --- |
| 0 | success; the result is on stdout |
| 1 | a negative result: `doctor` found a problem, `task wait` or `run` a task that is FINALIZED; `task clean` or \
`task delete --remove` could not remove everything, and continues with the rest when it is repeated |
| 2 | a mistake, or something that is not possible now; stderr says what and where, and nothing was changed |
| 3, 4, 5 | only from `task wait`, and 3 and 4 from `run`; see the section of `task wait` |
| 70 | a bug in Orchestra; stderr names the file with the details |
| 130 | Ctrl-C, or a question answered with no |
| 141 | the reader of the output closed it, as `head` does; not an error |

`job run --here` ends with the exit status of the job's command.

## Output

Results go to stdout; hints, progress and questions go to stderr. `-q` prints only names or ids, one per line.
`maestro completion` prints a script with which the shell completes commands, options and names.

Lists and help use colour on a terminal. `NO_COLOR` turns it off; `FORCE_COLOR` or `CLICOLOR_FORCE` turns it on
without a terminal, and `CLICOLOR=0` off on one. `NO_COLOR` overrides the others, and an empty variable counts as not
set. On a narrow terminal, lists shorten names, and never numbers.
"""


def _word(word: Word) -> str:
    also = f" Also `{', '.join(word.aliases)}`." if word.aliases else ""
    verbs = "".join(
        _verb(f"{word.name} {v.name}" if word.is_noun else word.name, v) for v in word.verbs()
    )
    title = (
        f"\n## {word.name}\n\n{word.help[:1].upper()}{word.help[1:]}.{also}\n"
        if word.is_noun
        else ""
    )
    return title + verbs


def _verb(command: str, verb: Verb) -> str:
    also = f" Also `{', '.join(verb.aliases)}`." if verb.aliases else ""
    text = verb.description or f"{verb.help[:1].upper()}{verb.help[1:]}."
    options = "".join(f"\n- {line}" for line in _options(verb, command))
    return (
        f"\n### maestro {command}\n\n{text}{also}\n{options}\n\n```\n{verb.example}\n```\n".replace(
            "\n\n\n", "\n\n"
        )
    )


def _options(verb: Verb, command: str) -> Iterator[str]:
    for action in make_parser(verb, command)._actions:
        if action.dest in ("help", "configuration") or action.help == "==SUPPRESS==":
            continue
        names = (
            ", ".join(f"`{name}`" for name in action.option_strings)
            or f"`{action.metavar or action.dest}`"
        )
        needed = " (required)" if action.required and action.option_strings else ""
        yield f"{names}: {(action.help or '').replace('|', ' or ').replace('%%', '%')}{needed}"


def main() -> None:
    """Write the pages."""
    docs = Path(sys.argv[1])
    (docs / "commands.md").write_text(commands_page(), encoding="utf-8")
    page = docs / "configuration.md"
    text = TABLE.sub(lambda _: settings_table(), page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")
    page = docs / "client.md"
    text = ERRORS.sub(lambda _: errors_table(), page.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
