"""The command that calls a program: made for a script, or typed in a folder and made independent of it. Pure.

A command runs in its job's own folder, so a relative path that was typed in another one must be made absolute. Only
words that a shell takes literally are changed, and only where the working directory is known to be the job's folder;
everything else stays as typed.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

SCRIPT_TAG = "SCRIPT"
"""The tag of the program's own file, which is registered like the data."""
SCRIPT_ENDINGS = (".py", ".sh", ".bash", ".R", ".r", ".jl", ".pl", ".rb", ".js", ".lua", ".m")
PYTHONS = ("python", "python3")

_TOKEN = re.compile(
    r"(?P<blank>[ \t\r]+|\\\n)"
    r"|(?P<comment>(?<![^\s;&|()])\#[^\n]*)"
    r"|(?P<redirection>&>>?|[0-9]*(?:<<<|<<-?|>>|>\||[<>]&|<>|[<>]))"
    r"|(?P<end>\n|[;&|()]+)"
    r"|(?P<word>(?:[^\s;&|()<>'\"\\]|\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\")+)",
    re.DOTALL,
)
# What a shell would expand, or a tag; a word with any of these is not a literal path.
_EXPANDED = re.compile(r"[$`*?\[\]{}%~]")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
# Words after which a command begins anew, and programs that run the command behind their options.
_BEGINS = frozenset(("if", "then", "else", "elif", "while", "until", "do", "!", "{"))
_PREFIXES = frozenset(
    (
        *("command", "env", "exec", "ionice", "mpirun", "nice", "nohup", "numactl", "srun"),
        *("stdbuf", "taskset", "time", "timeout"),
    )
)


class Kind(Enum):
    """What a path names."""

    FILE = "file"
    FOLDER = "folder"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Change:
    """A word of a command as it was typed, and the absolute path that replaced it."""

    typed: str
    path: str


@dataclass(frozen=True, slots=True)
class Call:
    """A command that does not depend on the folder in which it was typed.

    Args:
        program: the absolute path of the script that it runs, which stands in it as %SCRIPT; None if none was found.
        python: a bare `python3` was replaced by the interpreter.
    """

    command: str
    changes: tuple[Change, ...] = ()
    program: str | None = None
    python: bool = False


def script_call(interpreter: str | None, *, data: bool) -> str:
    """Return the command of a script: `INTERPRETER SCRIPT -c %IN -o %OUT`, with `-d %DATA` if there is data."""
    words = [quoted(interpreter)] if interpreter else []
    given = ["-d %DATA"] if data else []
    return " ".join([*words, f"%{SCRIPT_TAG}", *given, "-c %IN", "-o %OUT"])


def quoted(path: str) -> str:
    """Return a path as one word of a command template."""
    return shlex.quote(path).replace("%", "%%")


def independent(
    command: str,
    here: str,
    kind: Callable[[str], Kind],
    *,
    python: str | None = None,
    contained: bool = False,
) -> Call:
    """Make the relative paths of a command absolute, and find the script that it runs.

    Args:
        here: the folder in which it was typed.
        kind: says what an absolute path names.
        python: the path of the interpreter that a bare `python` or `python3` means; None leaves it.
        contained: absolute paths are those of a container image.
    """
    reader = _Reader(here, kind, python, contained)
    tokens = list(_tokens(command))
    if not tokens and command.strip():
        return Call(command)  # quotes that are not closed, or a here-document
    parts = [reader.read(token) for token in tokens]
    return Call(
        "".join(parts), tuple(dict.fromkeys(reader.changes)), reader.program, reader.python_used
    )


def uses_python(command: str) -> bool:
    """Whether a bare `python` or `python3` stands in a command."""
    return any(token.text in PYTHONS for token in _tokens(command))


def local_module(command: str, here: str, kind: Callable[[str], Kind]) -> str | None:
    """Return the module of `python3 -m MODULE` that only a program started in the folder `here` finds."""
    words = [token.text for token in _tokens(command) if token.kind == "word"]
    if any(word.startswith("PYTHONPATH=") for word in words):
        return None
    python = False
    for word, following in pairwise(words):
        if python and word == "-m":
            path = f"{here}/{following.replace('.', '/')}"
            found = kind(f"{path}.py") is Kind.FILE or kind(path) is Kind.FOLDER
            return following if found else None
        python = posixpath.basename(word).startswith(PYTHONS) or (python and word.startswith("-"))
    return None


def first_word(command: str) -> str:
    """Return the name of the first program of a command, without its folder and ending; "" if there is none."""
    for token in _tokens(command):
        if token.kind == "word" and not _ASSIGNMENT.match(token.text):
            return posixpath.splitext(posixpath.basename(token.text.strip("'\"")))[0]
    return ""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    kind: str


def _tokens(command: str) -> Iterator[_Token]:
    """Yield the tokens of a command, with the blanks; none at all where they cannot be told."""
    found, at = list[_Token](), 0
    while at < len(command):
        match = _TOKEN.match(command, at)
        if match is None or (
            match["redirection"] and match[0].lstrip("0123456789") in ("<<", "<<-")
        ):
            return
        found.append(_Token(match[0], str(match.lastgroup)))
        at = match.end()
    yield from found


@dataclass(slots=True)
class _Reader:
    """Reads the tokens of a command in order, and knows the working directory at each.

    Args:
        folder: the working directory: None for the job's own folder, "" if only the shell knows it.
    """

    here: str
    kind: Callable[[str], Kind]
    python: str | None
    contained: bool
    changes: list[Change] = field(default_factory=list)
    program: str | None = None
    python_used: bool = False
    folder: str | None = None
    folders: list[str | None] = field(default_factory=list)
    begins: bool = True
    after_prefix: bool = False
    goes: bool = False
    skips: bool = False

    def read(self, token: _Token) -> str:
        """Return a token as it is to be written."""
        match token.kind:
            case "end":
                self._end(token.text)
            case "redirection":
                self.skips = not re.fullmatch(r"[0-9]*<", token.text)
            case "word":
                return self._word(token.text)
        return token.text

    def _end(self, signs: str) -> None:
        for sign in signs:
            if sign == "(":
                self.folders.append(self.folder)
            elif sign == ")" and self.folders:
                self.folder = self.folders.pop()
        self.begins, self.after_prefix, self.goes, self.skips = True, False, False, False

    def _word(self, text: str) -> str:
        if self.skips:  # a file that the job writes, in its own folder; or text
            self.skips = False
            return text
        if self.goes:
            return self._go(text)
        if self.begins:
            return self._first(text)
        if self.after_prefix and text in PYTHONS:
            return self._interpreter(text)
        return self._argument(text)

    def _first(self, text: str) -> str:
        """Read a word where a command begins: a program, an assignment, or a word of the shell."""
        if _ASSIGNMENT.match(text):
            name, _, value = text.partition("=")
            return (
                f"{name}={self._search_path(value) if name == 'PYTHONPATH' else self._path(value)}"
            )
        if text in _BEGINS:
            return text
        self.begins, self.after_prefix = False, text in _PREFIXES
        if text in ("cd", "pushd"):
            self.goes = True
            return text
        if text in PYTHONS:
            return self._interpreter(text)
        # A bare word is a program on PATH, whatever the current folder contains.
        return self._path(text, runs=True) if "/" in text else text

    def _interpreter(self, text: str) -> str:
        self.after_prefix = False
        if self.python is None:
            return text
        self.python_used = True
        return quoted(self.python)

    def _argument(self, text: str) -> str:
        option, equals, value = text.partition("=")
        if equals and option.startswith("-"):
            return f"{option}={self._path(value)}"
        return text if text.startswith("-") else self._path(text)

    def _go(self, text: str) -> str:
        self.goes = False
        if text.startswith("%OUT"):
            self.folder = None
            return text
        to = _literal(text)
        if to is None or to.startswith("-") or self.folder == "":
            self.folder = ""
            return text
        base = self.here if self.folder is None else self.folder
        path = _absolute(base, to)
        if self.folder is None and not to.startswith("/"):
            if self.kind(path) is not Kind.FOLDER:
                self.folder = ""  # perhaps one that the job makes
                return text
            text = self._changed(to, path)
        self.folder = path
        return text

    def _path(self, text: str, *, runs: bool = False) -> str:
        """Return a word that may be a path, absolute if it names something where the command was typed."""
        path = _literal(text)
        if not path or path.strip("./") == "" or self.folder == "":
            return text
        if self.folder is not None or path.startswith("/"):
            full = _absolute(self.folder or self.here, path)
            return text if self.contained else self._script(full, runs=False) or text
        full = _absolute(self.here, path)
        kind = self.kind(full)
        if kind is Kind.NOTHING or (kind is Kind.FOLDER and "/" not in path):
            return (
                text  # without a slash, a word that is also a folder's name is more likely a word
            )
        if tag := self._script(full, runs=runs):
            self.changes.append(Change(path, full))
            return tag
        return self._changed(path, full)

    def _changed(self, typed: str, path: str) -> str:
        self.changes.append(Change(typed, path))
        return quoted(path)

    def _script(self, path: str, *, runs: bool) -> str | None:
        """Return %SCRIPT for the first path that is a program and not an interpreter."""
        is_script = path.endswith(SCRIPT_ENDINGS) or (
            runs and not posixpath.basename(path).startswith(PYTHONS)
        )
        if self.program is not None or not is_script or self.kind(path) is not Kind.FILE:
            return None
        self.program = path
        return f"%{SCRIPT_TAG}"

    def _search_path(self, text: str) -> str:
        parts = _literal(text)
        if not parts or self.folder is not None:
            return text
        new = ":".join(map(self._searched, parts.split(":")))
        return text if new == parts else quoted(new)

    def _searched(self, path: str) -> str:
        full = _absolute(self.here, path)
        if not path or path == full or self.kind(full) is not Kind.FOLDER:
            return path
        self.changes.append(Change(path, full))
        return full


def _literal(text: str) -> str | None:
    """Return what a word means to a shell; None if it is expanded, or is or holds a tag."""
    bare = re.sub(r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"", "", text, flags=re.DOTALL)
    in_double = "".join(re.findall(r"\"(?:[^\"\\]|\\.)*\"", text, flags=re.DOTALL))
    if _EXPANDED.search(bare) or re.search(r"[$`]", in_double) or "%" in text:
        return None
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    return words[0] if len(words) == 1 else None


def _absolute(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))
