"""What a command may do that was not meant: advice for whoever writes it. Pure.

The words are told apart as a shell tells them apart in most commands; where that is too hard, there is no advice.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_ENDS_COMMAND = re.compile(r"[;&|()]+|\n")
OWN_FOLDER: str | None = None
"""The job's own folder, where its command begins."""
UNKNOWN = ""
"""`cd` has led to a folder that only the shell can tell."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command and the folder in which it is read, or OWN_FOLDER or UNKNOWN."""

    text: str
    folder: str | None


def hidden_failure(command: str) -> str | None:
    """Return a note where a failure may not be seen: of a pipe, the last program's exit status counts."""
    tokens = _tokens(command)
    here_document = {"<<", "<<-"} & set(tokens)  # whose lines are text
    if not {"|", "|&"} & set(tokens) or here_document or "pipefail" in command:
        return None
    return (
        "of a pipe, the exit status of the last program counts, so a failure before it is not seen. "
        'With "set -o pipefail;" at the beginning of the command it is.'
    )


def left_behind(command: str) -> str | None:
    """Return a note where the command ends before its program does: what still runs then is ended with the job."""
    if not re.search(r"(?<![&>|<\\])&\s*\Z", command) or "#" in command:
        return None
    return (
        "the command ends with &, so the job ends at once, and what still runs behind is ended with it. "
        "Without the & the job lasts as long as the program."
    )


def typographic(command: str) -> str | None:
    """Return a note on characters outside of quotes that word processors and web pages put in the place of ASCII's."""
    outside = re.sub(r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"", "", command, flags=re.DOTALL)
    found = re.search(
        "[\u201c\u201d\u201e\u2018\u201a\u00a0\u2000-\u200b\u202f\u2060\ufeff]|(?<!\\S)[\u2010-\u2015\u2212]",
        outside,
    )
    if not found or "<<" in command:
        return None
    kind = unicodedata.name(found[0], "an invisible character").lower()
    return (
        f"the command has a character that only looks like one of the shell's: {kind} (U+{ord(found[0]):04X}). "
        "Word processors and web pages make them; to the shell it is a letter like others."
    )


def relative_words(command: str) -> Iterator[Word]:
    """Yield the words that may name files by a relative path, each with the folder that `cd` has led to by then."""
    folders, folder = list[str | None](), OWN_FOLDER
    begins, changes = True, False
    for token in _tokens(command):
        if _ENDS_COMMAND.fullmatch(token):
            for sign in token:
                if sign == "(":
                    folders.append(folder)
                elif sign == ")" and folders:
                    folder = folders.pop()
            begins, changes = True, False
        elif changes:
            folder, changes = _changed(folder, token), False
        elif begins and token in ("cd", "pushd"):
            begins, changes = False, True
        else:
            begins = False
            yield from (
                Word(part, folder)
                for part in (token, token.partition("=")[2])
                if part and not part.startswith(("/", "-", "%", "~", "$"))
            )


def _changed(folder: str | None, to: str) -> str | None:
    if to.startswith("/"):
        return posixpath.normpath(to)
    if to.startswith("%OUT"):
        return OWN_FOLDER
    if folder and not re.match(r"[-~$%`]", to):
        return posixpath.normpath(posixpath.join(folder, to))
    return UNKNOWN


def _tokens(command: str) -> list[str]:
    words = shlex.shlex(command, posix=True, punctuation_chars=";&|()<>")
    words.commenters = ""
    words.whitespace = " \t\r"
    words.whitespace_split = True
    try:
        return [each for token in words for each in _apart(token)]
    except ValueError:  # quotes that only the shell understands
        return []


def _apart(token: str) -> Iterator[str]:
    """A line break ends a command, as a semicolon does; shlex leaves it in its word."""
    yield from (part for part in re.split(r"(\n)", token) if part)
