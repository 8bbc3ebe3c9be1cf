"""The commands and the modules that implement them; a module is imported when its command is used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orchestra.domain.errors import BadInput
from orchestra.domain.nearest import nearest

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser


RESULT_FORMS = ("table", "json", "csv", "parquet")
"""The forms of a table that other programs read."""


def later(place: str) -> Callable[..., Any]:
    """Return a function that imports its module when it is called: "orchestra.cli.task_list:list_tasks".

    For nouns with many verbs, each of which needs different modules.
    """
    module, _, name = place.partition(":")

    def call(*args: Any) -> Any:
        return getattr(import_module(module), name)(*args)

    return call


def _none(_parser: Parser) -> None:
    """The arguments of a command that takes only the common ones."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verb:
    """One command. `run` returns an exit status, None for 0; `example` ends its help, one command a line.

    `aliases` work but are not shown; `output` adds `-o` with the `forms` and `-q`.
    """

    name: str
    help: str
    run: Callable[[Context], int | None]
    arguments: Callable[[Parser], None] = _none
    example: str = ""
    aliases: tuple[str, ...] = ()
    output: bool = False
    forms: tuple[str, ...] = ("table", "json")
    description: str | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Word:
    """A first word: a noun with verbs, or a short command of its own.

    `is_rare`: used once or by programs, so the short help, which fits on 24 lines, does not have it.
    """

    name: str
    module: str
    help: str
    is_noun: bool = True
    aliases: tuple[str, ...] = ()
    is_rare: bool = False

    def verbs(self) -> tuple[Verb, ...]:
        """Import the module and return its verbs."""
        verbs: tuple[Verb, ...] = import_module(self.module).VERBS
        return verbs if self.is_noun else tuple(v for v in verbs if v.name == self.name)


WORDS = (
    Word("up", "orchestra.cli.local.up", "start everything on this machine", is_noun=False),
    Word(
        "down",
        "orchestra.cli.local.up",
        "stop what `up` started once the running jobs end",
        is_noun=False,
    ),
    Word("run", "orchestra.cli.run", "run a script over config files", is_noun=False),
    Word(
        "demo",
        "orchestra.cli.local.demo",
        "train a model over a grid of configurations",
        is_noun=False,
    ),
    Word(
        "doctor",
        "orchestra.cli.local.doctor",
        "check the installation and suggest fixes",
        is_noun=False,
    ),
    Word(
        "completion",
        "orchestra.cli.completion",
        "print a completion script for the shell",
        is_noun=False,
        is_rare=True,
    ),
    Word("web", "orchestra.cli.local.web", "sign a browser in to the pages", is_noun=False),
    Word("version", "orchestra.cli.version", "show the version", is_noun=False, is_rare=True),
    Word("task", "orchestra.cli.task", "create, watch, hold, retry and kill tasks"),
    Word("queue", "orchestra.cli.queue", "show who is next, and why", is_noun=False),
    Word("job", "orchestra.cli.job", "inspect, retry and kill single jobs, read their logs"),
    Word("dataset", "orchestra.cli.dataset", "register files as data sets", aliases=("castor",)),
    Word("node", "orchestra.cli.node", "manage nodes and their slots"),
    Word("pool", "orchestra.cli.pool", "let Slurm start pilots when there is work"),
    Word("user", "orchestra.cli.user", "manage users; `user init` creates the tables"),
    Word(
        "usage",
        "orchestra.cli.usage",
        "show what jobs requested and used, by user and month",
        is_noun=False,
    ),
    Word("mail", "orchestra.cli.mail", "show and resend mails"),
    Word("pilot", "orchestra.cli.local.pilot", "manage pilots, which run the jobs of a node"),
    Word(
        "conductor",
        "orchestra.cli.local.conductor",
        "run a conductor (the scheduler) without a pilot",
        is_rare=True,
    ),
    Word(
        "server",
        "orchestra.cli.local.server",
        "serve the pages and the REST API",
        is_rare=True,
    ),
    Word("db", "orchestra.cli.local.db", "start, stop, dump and restore the database"),
)


def find_word(name: str) -> Word | None:
    """Return the word with that name or alias."""
    return next((word for word in WORDS if name == word.name or name in word.aliases), None)


def resolve(words: list[str]) -> tuple[Word, Verb, str]:
    """Return the command that the first one or two words name, and the words as typed.

    Raises:
        BadInput: there is no such command.
    """
    word = find_word(words[0])
    if word is None:
        raise _unknown(words)
    if not word.is_noun:
        return word, word.verbs()[0], word.name
    typed = words[1]
    for verb in word.verbs():
        if typed == verb.name or typed in verb.aliases:
            return word, verb, f"{words[0]} {typed}"
    raise _unknown(words)


def _unknown(words: list[str]) -> BadInput:
    typed = " ".join(words[:2])
    if meant := _meant(words):
        return BadInput(f'there is no command "{typed}". Did you mean "{meant}"?')
    known = f"maestro {words[0]}" if find_word(words[0]) else "maestro"
    return BadInput(f'there is no command "{typed}".', hint=f"{known} --help lists the commands.")


# Commands of other programs, and verbs of several nouns.
_ELSEWHERE = {
    "submit": "run",
    "sbatch": "run",
    "ls": "task list",
    "squeue": "task list",
    "ps": "task list",
    "cancel": "task kill",
    "rm": "task delete",
    "log": "job logs",
    "logs": "job logs",
    "status": "task list",
    "start": "up",
    "stop": "down",
}


def _meant(words: list[str]) -> str | None:
    if named := _swapped(words) or _ELSEWHERE.get(words[0]) or _without_noun(words[0]):
        return named
    names = [name for word in WORDS for name in (word.name, *word.aliases)]
    first = nearest(words[0], names)
    word = find_word(first) if first else None
    if word is None or not word.is_noun or len(words) < 2:
        return _swapped(words) or first
    verb = nearest(words[1], [v for verb in word.verbs() for v in (verb.name, *verb.aliases)])
    if verb is None:
        return _swapped(words) or _short(words[1]) or (first if first != words[0] else None)
    return f"{first} {verb}"


def _short(typed: str) -> str | None:
    """Return the short command that a verb names: `maestro task run` and `task submit` are `run`."""
    word = find_word(_ELSEWHERE.get(typed, typed))
    return word.name if word and not word.is_noun else None


def _without_noun(typed: str) -> str | None:
    """Return the first noun with that verb: `maestro results 3` is `task results`."""
    if find_word(typed):
        return None
    nouns = (word for word in WORDS if word.is_noun)
    return next((f"{n.name} {typed}" for n in nouns if typed in [v.name for v in n.verbs()]), None)


def _swapped(words: list[str]) -> str | None:
    """Return noun and verb in their order: `maestro create task` is `task create`."""
    word = find_word(words[1].removesuffix("s")) if len(words) > 1 else None
    if word is None or not word.is_noun:
        return None
    return next((f"{word.name} {v.name}" for v in word.verbs() if v.name == words[0]), None)
