"""A scanner that finds the tags (%TAG) of a shell command and the quotes around them.

`scan` reads the command as bash and dash do (POSIX Shell Command Language, sections 2.2 to 2.7; Bash manual, "Shell
Syntax") and splits it into text, which stays as typed, and tags. It parses quoting, not grammar: a command that the
shell would refuse is split as far as possible.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Quoting(Enum):
    """The quotes around a tag, which decide how a value is written there."""

    NONE = "no quotes"  # echo %IN
    WORD = "no quotes, after a ~"  # ~%IN: always quoted, or the shell would expand a home folder
    SINGLE = "single quotes"  # '%IN'
    DOUBLE = "double quotes"  # "%IN"
    ANSI = "$'...'"  # $'%IN', bash only
    HEREDOC = "a here-document"  # <<EOF
    QUOTED_HEREDOC = "a quoted here-document"  # <<'EOF'


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag with its quotes; `delimiter` is that of its here-document."""

    name: str
    quoting: Quoting
    backticks: bool = False
    delimiter: str = ""


@dataclass(frozen=True, slots=True)
class Misplaced:
    """A tag where a path cannot be written safely. It stays as typed; `hint` says what to do instead."""

    name: str
    where: str
    hint: str


@dataclass(frozen=True, slots=True)
class Scan:
    """A scanned command. `unclosed` names what was opened and never closed, or is empty."""

    parts: tuple[str | Tag, ...]
    misplaced: tuple[Misplaced, ...]
    unclosed: str


def scan(text: str) -> Scan:
    """Split `text` into literal text and tags."""
    scanner = _Scanner(text)
    scanner.code(closer="")
    return scanner.result()


# The whole word after a %. It is a tag if it starts like one: %F and %Y%m are left to date(1).
_WORD = re.compile(r"[A-Za-z0-9_]+")
_TAG = re.compile(r"[A-Z][A-Z0-9_]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AFTER_TILDE = re.compile(r"~[A-Za-z0-9_.+-]*\Z")
_AFTER_NAME = re.compile(r"\$[A-Za-z0-9_]+\Z")
_COMMENT = re.compile(r"[^\n]*")
# After these the next word is a command again, where `case` is a reserved word.
_RESERVED = re.compile(r"(?:case|esac|then|do|else|elif|if|while|until|!|\{)(?=[\s;&|()<>]|\Z)")
# Up to and including the operator %: ${file%.h5}, ${file%%.*}
_PARAMETER = re.compile(r"\$\{[!#]?(?:\w+|[@*#?$!-])?(?:\[[^]]*\])?%{0,2}")
_BACKTICKS = re.compile(r"`(?P<inner>(?:[^`\\]|\\.)*)`", re.DOTALL)
_HEREDOC = re.compile(
    r"<<(?P<dash>-?)[ \t]*(?P<word>(?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s;&|()<>'\"\\])+)"
)
_BLANK = " \t\r\n"

_NO_BACKTICKS = "Write $(...) instead of `...`."
_NO_QUOTE = "Put what is in the single quotes in a variable first."
_IN_VARIABLE = 'Put it in a variable first: x=%TAG; and then "$x".'


@dataclass(frozen=True, slots=True)
class _Pending:
    """A here-document that was announced and starts on the next line."""

    delimiter: str
    quoted: bool
    strips_tabs: bool


class _Scanner:
    """One pass over a command. Each method leaves `at` after what it read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.end = len(text)
        self.copied = 0  # everything before it is in `parts`
        self.parts: list[str | Tag] = []
        self.misplaced: list[Misplaced] = []
        self.unclosed = ""
        self.pending: list[_Pending] = []
        self.backticks = False
        self.forbidden: tuple[str, str] | None = (
            None  # where tags are not allowed, and what to do instead
        )
        self.unsure: tuple[str, str] | None = None  # the same, up to the end of the command

    def result(self) -> Scan:
        self.copy(len(self.text))
        return Scan(tuple(self.parts), tuple(self.misplaced), self.unclosed)

    # Helpers

    def copy(self, upto: int) -> None:
        if upto > self.copied:
            self.parts.append(self.text[self.copied : upto])
        self.copied = upto

    def looking_at(self, text: str) -> bool:
        return self.text.startswith(text, self.at, self.end)

    def never_closed(self, what: str, opened: int) -> None:
        self.at = self.end
        if not self.unclosed:
            self.unclosed = f"the {what} at character {opened + 1}"

    @contextmanager
    def within(self, end: int) -> Iterator[None]:
        """Limit reading to `end`, and continue there."""
        outer, self.end = self.end, end
        yield
        self.at, self.end = end, outer

    @contextmanager
    def no_tags(self, where: str, hint: str) -> Iterator[None]:
        outer, self.forbidden = self.forbidden, self.forbidden or (where, hint)
        yield
        self.forbidden = outer

    # The percent sign

    def percent(self, quoting: Quoting, delimiter: str = "") -> None:
        word = _WORD.match(self.text, self.at + 1, self.end)
        if word and _TAG.match(word[0]):
            self.tag(word[0], quoting, delimiter)
        elif self.looking_at("%%"):
            if not self.forbidden:
                self.copy(self.at + 1)
                self.copied = self.at + 2
            self.at += 2
        else:
            self.at += 1

    def tag(self, name: str, quoting: Quoting, delimiter: str) -> None:
        after = self.at + 1 + len(name)
        before = self.text[: self.at]
        if no_place := self.forbidden or self.unsure:
            self.misplace(name, *no_place)
        elif quoting is Quoting.HEREDOC and _AFTER_NAME.search(before):
            self.misplace(name, "right after a variable", "Write ${name} instead of $name.")
        else:
            if quoting is Quoting.NONE and _AFTER_TILDE.search(before):
                quoting = Quoting.WORD
            self.copy(self.at)
            self.parts.append(Tag(name, quoting, self.backticks, delimiter))
            self.copied = after
        self.at = after

    def misplace(self, name: str, where: str, hint: str) -> None:
        self.misplaced.append(Misplaced(name, where, hint.replace("TAG", name)))

    # Unquoted text

    def code(self, closer: str) -> None:
        """Read up to and including `closer`, which is ")" in a substitution, else to the end."""
        opened: list[str] = []  # "(" and "case", innermost last
        fresh = command = True  # at the start of a word; where a command may start
        start = self.at
        outer, self.pending = self.pending, []
        while self.at < self.end:
            char = self.text[self.at]
            if char == ")":
                self.at += 1
                fresh = command = True
                if opened[-1:] == ["("]:
                    opened.pop()
                elif closer and not opened:
                    break
                continue
            if fresh and command and (word := _RESERVED.match(self.text, self.at, self.end)):
                self.at = word.end()
                self._reserved(word[0], opened)
                fresh = False
                command = word[0] not in {"case", "esac"}
                continue
            fresh, command = self._code_character(char, fresh, command, opened)
        else:
            if closer:
                self.never_closed("bracket", start - 1)
        if closer and self.pending:
            self.never_closed("here-document in the brackets", start - 1)
        self.pending = outer

    def _reserved(self, word: str, opened: list[str]) -> None:
        # The ) after a pattern of `case` closes nothing.
        if word == "case":
            opened.append("case")
        elif word == "esac" and opened[-1:] == ["case"]:
            opened.pop()

    def _code_character(
        self, char: str, fresh: bool, command: bool, opened: list[str]
    ) -> tuple[bool, bool]:
        if char in _BLANK:
            self.at += 1
            if char == "\n":
                self.heredocs()
            return True, command or char == "\n"
        if char == "#" and fresh:
            self.at = _COMMENT.match(self.text, self.at, self.end).end()  # type: ignore[union-attr]
            return True, command
        if char == "\\" and self.looking_at("\\\n"):
            self.at += 2
            return fresh, command
        if char == "(":
            self._bracket(opened)
            return True, True
        if char in ";&|":
            self.at += 1
            return True, True
        if char in "<>":
            self._redirection(char)
            return True, False
        self._word_character(char)
        return False, False

    def _bracket(self, opened: list[str]) -> None:
        if self.looking_at("(("):
            self.arithmetic(self.at)
        else:
            opened.append("(")
            self.at += 1

    def _redirection(self, char: str) -> None:
        heredoc = _HEREDOC.match(self.text, self.at, self.end)
        if self.looking_at("<<<"):
            self.at += 3
        elif char == "<" and heredoc:
            self.pending.append(_announced(heredoc))
            self.at = heredoc.end()
        else:
            self.at += 1

    def _word_character(self, char: str) -> None:
        match char:
            case "\\":
                self.at = min(self.at + 2, self.end)
            case "'":
                self.single()
            case '"':
                self.double()
            case "`":
                self.backtick()
            case "$" if self.looking_at("$'"):
                self.ansi()
            case "$":
                self.dollar(quoted=False)
            case "%":
                self.percent(Quoting.NONE)
            case _:
                self.at += 1

    # Quotes

    def single(self) -> None:
        opened, self.at = self.at, self.at + 1
        self._until(
            "'", lambda: self.percent(Quoting.SINGLE), "single quote", opened, escapes=False
        )

    def ansi(self) -> None:
        opened, self.at = self.at + 1, self.at + 2
        self._until("'", lambda: self.percent(Quoting.ANSI), "single quote", opened, escapes=True)

    def _until(
        self, close: str, percent: Callable[[], None], what: str, opened: int, *, escapes: bool
    ) -> None:
        while self.at < self.end:
            char = self.text[self.at]
            if char == close:
                self.at += 1
                return
            if char == "\\" and escapes:
                self.at += 2
            elif char == "%":
                percent()
            else:
                self.at += 1
        self.never_closed(what, opened)

    def double(self) -> None:
        opened, self.at = self.at, self.at + 1
        while self.at < self.end:
            if self.text[self.at] == '"':
                self.at += 1
                return
            self.expanding(lambda: self.percent(Quoting.DOUBLE))
        self.never_closed("double quote", opened)

    def expanding(self, percent: Callable[[], None]) -> None:
        """Read one step where only $, ` and backslash are special: in "..." and here-documents."""
        match self.text[self.at]:
            case "\\":
                self.at = min(self.at + 2, self.end)
            case "$":
                self.dollar(quoted=True)
            case "`":
                # bash looks for braces before backticks; there, a " inside them ends the quotes.
                with self.no_tags("in backticks inside double quotes", _NO_BACKTICKS):
                    self.backtick()
            case "%":
                percent()
            case _:
                self.at += 1

    def backtick(self) -> None:
        found = _BACKTICKS.match(self.text, self.at, self.end)
        if not found:
            self.never_closed("backtick", self.at)
            return
        self.at += 1
        # A backslash in backticks is removed before the command in them is read.
        outer, self.backticks = self.backticks, True
        with self.within(found.end() - 1):
            if "\\" in found["inner"]:
                with self.no_tags(
                    "in backticks with a backslash", "Write $(...) instead of `...`."
                ):
                    self.code(closer="")
            else:
                self.code(closer="")
        self.backticks = outer
        self.at = found.end()

    # $

    def dollar(self, *, quoted: bool) -> None:
        opened = self.at
        if self.looking_at("$(("):
            self.at += 1
            self.arithmetic(opened)
        elif self.looking_at("$("):
            self.at += 2
            self.code(closer=")")
        elif self.looking_at("${"):
            self.parameter(quoted=quoted)
        elif name := _NAME.match(self.text, self.at + 1, self.end):
            self.at = name.end()
        elif self.text[self.at + 1 : self.at + 2] in set("$#?!-@*0123456789"):
            self.at = min(self.at + 2, self.end)
        else:
            self.at += 1
            self._tag_after_dollar()

    def _tag_after_dollar(self) -> None:
        # "$" and the value would be read together: $HOME, $(...), $'...'.
        if self.looking_at("%") and not self.looking_at("%%"):
            with self.no_tags("right after a $", "Write %TAG alone; it is not a variable."):
                self.percent(Quoting.NONE)

    def parameter(self, *, quoted: bool) -> None:
        """Read ${...}. Operators and shells differ in how they read quotes in it."""
        opened = self.at
        found = _PARAMETER.match(self.text, self.at, self.end)
        assert found is not None
        self.at = found.end()
        with self.no_tags("inside ${...}", _IN_VARIABLE):
            while self.at < self.end and self.text[self.at] != "}":
                self._parameter_character(quoted=quoted)
        if self.at >= self.end:
            self.never_closed("${", opened)
        self.at += 1

    def _parameter_character(self, *, quoted: bool) -> None:
        char = self.text[self.at]
        if char == "'" and not quoted:
            self.single()
        elif char == "'":
            # dash and bash differ in which of "${x:-it's}" and "${x%'}'}" they read as an open quote.
            self.unsure = self.unsure or ('after a single quote in "${...}"', _NO_QUOTE)
            self.at += 1
        elif char == '"':
            self.double()
        elif not quoted and self.looking_at("$'"):
            self.ansi()
        else:
            self.expanding(lambda: self.percent(Quoting.NONE))

    def arithmetic(self, opened: int) -> None:
        """Read ((...)) and $((...)), where values are numbers and % is an operator."""
        depth = 0
        with self.no_tags("inside ((...))", _IN_VARIABLE):
            while self.at < self.end:
                char = self.text[self.at]
                if char in "()":
                    depth += 1 if char == "(" else -1
                    self.at += 1
                    if depth == 0:
                        return
                elif char == "'":
                    self.single()
                elif char == '"':
                    self.double()
                else:
                    self.expanding(lambda: self.percent(Quoting.NONE))
        self.never_closed("bracket", opened)

    # Here-documents

    def heredocs(self) -> None:
        pending, self.pending = self.pending, []
        for heredoc in pending:
            self.heredoc(heredoc)

    def heredoc(self, heredoc: _Pending) -> None:
        stop, after = self._body(heredoc)
        with self.within(stop):
            while self.at < self.end:
                if heredoc.quoted:
                    self._quoted_heredoc_character(heredoc.delimiter)
                else:
                    self._heredoc_character(heredoc.delimiter)
        self.at = after

    def _quoted_heredoc_character(self, delimiter: str) -> None:
        if self.text[self.at] == "%":
            self.percent(Quoting.QUOTED_HEREDOC, delimiter)
        else:
            self.at += 1

    def _heredoc_character(self, delimiter: str) -> None:
        if self.text[self.at] in "$`":
            with self.no_tags("in a substitution inside a here-document", _IN_VARIABLE):
                self.expanding(lambda: None)
        else:
            self.expanding(lambda: self.percent(Quoting.HEREDOC, delimiter))

    def _body(self, heredoc: _Pending) -> tuple[int, int]:
        """The end of the body that starts here, and the end of the delimiter's line."""
        at = self.at
        while at < self.end:
            newline = self.text.find("\n", at, self.end)
            line_end = self.end if newline < 0 else newline
            line = self.text[at:line_end]
            if (line.lstrip("\t") if heredoc.strips_tabs else line) == heredoc.delimiter:
                return at, line_end
            at = line_end + 1
        return self.end, self.end


def _announced(heredoc: re.Match[str]) -> _Pending:
    word = heredoc["word"]
    delimiter = re.sub(r"'([^']*)'|\"([^\"]*)\"|\\(.)", lambda m: m[1] or m[2] or m[3] or "", word)
    quoted = any(char in word for char in "'\"\\")
    return _Pending(delimiter, quoted, bool(heredoc["dash"]))
