"""Notes on a command that may not do what its author meant. Pure.

Commands are split into words as a shell splits most of them; where that fails, there are no notes.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from orchestra.domain import human
from orchestra.domain.command import parse
from orchestra.domain.models.sources import Source

_ENDS_COMMAND = re.compile(r"[;&|()]+|\n")
OWN_FOLDER: str | None = None
"""The job's own folder, where its command starts."""
UNKNOWN = ""
"""A folder that only the shell knows, after `cd`."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command and the working directory at that point: a path, OWN_FOLDER or UNKNOWN."""

    text: str
    folder: str | None


def notes(
    command: str, sources: Iterable[Source]
) -> Iterator[tuple[Literal["note", "warning"], str]]:
    """Yield what is valid but may not be intended; `sources` are those of the command's tags, except %IN and %OUT."""
    tags = parse(command).tags
    for source in sources:
        if source.files > 1:
            files = human.count(source.files, "file")
            yield (
                "note",
                f"{source.dataset} has {files}, so %{source.tag} is its folder {source.path}",
            )
        if source.tag not in tags:
            yield "warning", f"the command does not use %{source.tag} ({source.dataset})"
    for advice in (hidden_failure, left_behind, typographic):
        if (note := advice(command)) is not None:
            yield "note", note


def hidden_failure(command: str) -> str | None:
    """Return a note if a failure may go unnoticed: a pipeline has the exit status of its last program."""
    tokens = _tokens(command)
    here_document = {"<<", "<<-"} & set(tokens)  # its lines are text
    if not {"|", "|&"} & set(tokens) or here_document or "pipefail" in command:
        return None
    return (
        "a pipeline has the exit status of its last program, so a failure before it goes unnoticed. "
        'Start the command with "set -o pipefail;" to notice it.'
    )


def left_behind(command: str) -> str | None:
    """Return a note if the command ends before its program does: what still runs is ended with the job."""
    if not re.search(r"(?<![&>|<\\])&\s*\Z", command) or "#" in command:
        return None
    return (
        "the command ends with &, so the job ends at once and its background program is ended with it. "
        "Remove the & to have the job last as long as the program."
    )


def typographic(command: str) -> str | None:
    """Return a note on unquoted characters that word processors and web pages substitute for ASCII ones."""
    outside = re.sub(r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"", "", command, flags=re.DOTALL)
    found = re.search(
        "[\u201c\u201d\u201e\u2018\u201a\u00a0\u2000-\u200b\u202f\u2060\ufeff]|(?<!\\S)[\u2010-\u2015\u2212]",
        outside,
    )
    if not found or "<<" in command:
        return None
    kind = unicodedata.name(found[0], "an invisible character").lower()
    return (
        f"the command has a character that only looks like a shell character: {kind} (U+{ord(found[0]):04X}). "
        "Word processors and web pages insert them; the shell reads it as an ordinary letter."
    )


def relative_words(command: str) -> Iterator[Word]:
    """Yield the words that may be relative paths of files, each with the working directory at that point."""
    folders, folder = list[str | None](), OWN_FOLDER
    starts, changes = True, False
    for token in _tokens(command):
        if _ENDS_COMMAND.fullmatch(token):
            for sign in token:
                if sign == "(":
                    folders.append(folder)
                elif sign == ")" and folders:
                    folder = folders.pop()
            starts, changes = True, False
        elif changes:
            folder, changes = _changed(folder, token), False
        elif starts and token in ("cd", "pushd"):
            starts, changes = False, True
        else:
            starts = False
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
        return [each for token in words for each in _split_line_breaks(token)]
    except ValueError:  # quoting that shlex cannot parse
        return []


def _split_line_breaks(token: str) -> Iterator[str]:
    """Split off line breaks, which end a command; shlex leaves them in words."""
    yield from (part for part in re.split(r"(\n)", token) if part)
