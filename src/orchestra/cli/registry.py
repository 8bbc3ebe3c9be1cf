"""Which words there are on the command line, and where they live; nothing is imported until it is used."""

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


def later(place: str) -> Callable[..., Any]:
    """Give a function that brings in its module when it is called: "orchestra.cli.task_list:list_tasks".

    For a word with many verbs: each of them needs its own modules alone.
    """
    module, _, name = place.partition(":")

    def call(*args: Any) -> Any:
        return getattr(import_module(module), name)(*args)

    return call


def _none(_parser: Parser) -> None:
    """Most short commands take no arguments of their own."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verb:
    """One command. `run` gives an exit status, None for 0; `example` ends its help, one command a line.

    `aliases` work as typed and are not shown; `output` adds `-o` with the `forms` and `-q`.
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
    """A first word: a noun with verbs, or a short command of its own."""

    name: str
    module: str
    help: str
    is_noun: bool = True
    aliases: tuple[str, ...] = ()

    def verbs(self) -> tuple[Verb, ...]:
        """Import the word's module and give its verbs."""
        verbs: tuple[Verb, ...] = import_module(self.module).VERBS
        return verbs if self.is_noun else tuple(v for v in verbs if v.name == self.name)


WORDS = (
    Word("up", "orchestra.cli.local.up", "start everything on this machine", is_noun=False),
    Word(
        "down",
        "orchestra.cli.local.up",
        "stop what `up` started; running jobs end first",
        is_noun=False,
    ),
    Word(
        "demo",
        "orchestra.cli.local.demo",
        "train a real model over a grid, start to end",
        is_noun=False,
    ),
    Word(
        "doctor",
        "orchestra.cli.local.doctor",
        "say whether all is well, and what helps",
        is_noun=False,
    ),
    Word(
        "completion",
        "orchestra.cli.completion",
        "print what a shell needs to complete commands",
        is_noun=False,
    ),
    Word("version", "orchestra.cli.version", "show the version", is_noun=False),
    Word("task", "orchestra.cli.task", "make, watch, hold, retry and end tasks"),
    Word("job", "orchestra.cli.job", "look at single jobs, their logs, retry and end them"),
    Word("dataset", "orchestra.cli.dataset", "register files", aliases=("castor",)),
    Word("node", "orchestra.cli.node", "the machines and their slots"),
    Word("user", "orchestra.cli.user", "the people; `user init` makes the tables"),
    Word("mail", "orchestra.cli.mail", "what was written to people, and whether it arrived"),
    Word("pilot", "orchestra.cli.local.pilot", "what runs the jobs on a node"),
    Word("conductor", "orchestra.cli.local.conductor", "a conductor without a pilot"),
    Word("db", "orchestra.cli.local.db", "the database: status, start, stop, dump, restore"),
)


def find_word(name: str) -> Word | None:
    """Give the word of that name or alias."""
    return next((word for word in WORDS if name == word.name or name in word.aliases), None)


def resolve(words: list[str]) -> tuple[Word, Verb, str]:
    """Give what the first one or two words call, and the command as it was typed.

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
    return BadInput(f'there is no command "{typed}".', hint=f"{known} --help shows what there is.")


# What people of other programs type first.
_ELSEWHERE = {
    "submit": "task create",
    "run": "task create",
    "sbatch": "task create",
    "ls": "task list",
    "squeue": "task list",
    "ps": "task list",
    "cancel": "task kill",
    "rm": "task delete",
    "log": "job logs",
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
        return _swapped(words) or (first if first != words[0] else None)
    return f"{first} {verb}"


def _without_noun(typed: str) -> str | None:
    """`maestro logs 3/17`: the first noun that has such a verb."""
    if find_word(typed):
        return None
    nouns = (word for word in WORDS if word.is_noun)
    return next((f"{n.name} {typed}" for n in nouns if typed in [v.name for v in n.verbs()]), None)


def _swapped(words: list[str]) -> str | None:
    """`maestro create task` is a natural thing to type."""
    word = find_word(words[1].removesuffix("s")) if len(words) > 1 else None
    if word is None or not word.is_noun:
        return None
    return next((f"{word.name} {v.name}" for v in word.verbs() if v.name == words[0]), None)
