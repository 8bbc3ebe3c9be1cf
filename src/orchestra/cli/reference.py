"""The reference pages, written from what the program itself says: python -m orchestra.cli.reference docs

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
    """Give the settings as a Markdown table."""
    rows = [
        f"| `{one.name}` | {one.kind.replace('|', ' or ')} | {one.meaning} | {one.default} |\n"
        for one in SETTINGS
    ]
    return "| key | type | meaning | default |\n| --- | --- | --- | --- |\n" + "".join(rows)


def errors_table() -> str:
    """Give the errors with their codes as a Markdown table; their docstrings say what they mean."""
    rows = [
        f"| `{kind.code}` | `{kind.__name__}` | {status_of(kind())} | {kind()} |\n"
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, OrchestraError)
    ]
    return "| code | class | exit status | meaning |\n| --- | --- | --- | --- |\n" + "".join(rows)


def commands_page() -> str:
    """Give all commands with their options as Markdown."""
    return "# Commands\n\n" + _INTRODUCTION + "".join(_word(word) for word in WORDS)


_INTRODUCTION = """`maestro NOUN VERB --help` says the same at the terminal. Every command takes `--config FILE`;
where `-o json` is offered, JSON goes to stdout alone, with times in UTC. `maestro.py` is the same program.

## Exit statuses

| status | meaning |
| --- | --- |
| 0 | it was done; what was asked for is on stdout |
| 1 | it was done, and the answer is no: `doctor` has found a problem, `task wait` a task that is FINALIZED; \
`task clean` or `task delete --remove` could not remove all, and goes on with the rest when it is said again |
| 2 | a mistake, or something that is not possible now: a sentence on stderr says what and where; nothing was changed |
| 3, 4, 5 | `task wait` alone; its `--help` says how the tasks ended |
| 70 | a bug in Orchestra: the sentence names the file with the details |
| 130 | Ctrl-C, or a question that was answered with no |
| 141 | whoever read the output went away, as `head` does; no error |

`job run --here` ends with the status of the job's command.

What was asked for goes to stdout, hints, progress and questions to stderr. Colour is for terminals alone, and not where
`NO_COLOR` is set. `-q` prints names or ids alone, one a line. `maestro completion` has the shell complete commands,
options and names.
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
        needed = " (needed)" if action.required and action.option_strings else ""
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
