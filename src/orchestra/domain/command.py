"""The command template: `python3 train.py -d %DATA -c %IN -o %OUT`.

A tag is `%` followed by the longest word that starts with two upper-case letters (digits and `_` count after the
first): `%IN_DIR` is one tag, not `%IN` and `_DIR`. `%F`, `%Y%m` and `%s` are ordinary text, so `date +%F` works as
typed. `%%` is one percent sign. A backslash before a percent sign makes it ordinary, as for any character in a shell.
DOS line endings become Unix ones; everything else is kept byte for byte.

A value is written for the quotes around its tag, so that the shell reads back exactly the value: unquoted, '...',
"...", $'...', in $(...) and `...`, and in here-documents. Comments are text. Where no way of writing it is safe
(inside ${...} and ((...)), right after a $, in a substitution inside a here-document, in backticks inside double quotes
or with a backslash), `check` refuses the tag and says what to write instead. Nothing is changed there, not even `%%`.

Not handled: a string that a second shell or `eval` reads again (`bash -c "cat %IN"`, `ssh host "cat %IN"`). There the
value is code. Pass it as an argument: `bash -c 'cat "$1"' - %IN`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.shell_scanner import Quoting, Tag, scan
from orchestra.domain.storable import LONGEST_VALUE, trouble_with
from orchestra.domain.wording import Field, words

if TYPE_CHECKING:
    from orchestra.domain.shell_scanner import Misplaced, Scan

DATA = "DATA"
REQUIRED = (DATA, "IN", "OUT")
"""The tags that every command has; without a data set for %DATA, the others."""

# Linux limits one argument to 128 KiB (MAX_ARG_STRLEN); this leaves room for the paths.
MAX_BYTES = LONGEST_VALUE
# A tag is part of a database key, and keys must be short.
LONGEST_TAG = 64

# For a tag that was left out: the original's option for it, and the consequence.
_OPTION = {DATA: "-d", "IN": "-c", "OUT": "-o"}
_CONSEQUENCE = {
    DATA: "so its jobs would not find their data",
    "IN": "so all of its jobs would do the same",
    "OUT": "so its jobs would not know where to write",
}


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed command: its text and its tags. Made by `parse`."""

    text: str
    scan: Scan

    @property
    def tags(self) -> tuple[str, ...]:
        """The tag names without the %, each once, in order of appearance."""
        return tuple(dict.fromkeys(part.name for part in self.scan.parts if isinstance(part, Tag)))

    def render(self, values: Mapping[str, str]) -> str:
        """Return the command with each tag replaced by its value; names in `values` have no %.

        Raises:
            BadInput: a tag has no value, or a value cannot be written at its tag's place (a NUL anywhere, a
                line break in a here-document).
        """
        return "".join(
            part if isinstance(part, str) else _write(part, values) for part in self.scan.parts
        )


def parse(text: str) -> Template:
    """Find the tags of a command.

    Raises:
        BadInput: the command is empty, too long, or has a character that no shell accepts.
    """
    text = text.replace("\r\n", "\n").rstrip("\r")  # pasted from a file written on Windows
    if not text.strip():
        raise BadInput("the command is empty.")
    if trouble := trouble_with(text, most=MAX_BYTES):
        is_long = trouble_with(text) is None
        raise BadInput(
            f"the command {trouble}.",
            hint="Put it in a script and call the script." if is_long else None,
        )
    return Template(text, scan(text))


def required(*, with_data: bool) -> tuple[str, ...]:
    """Return the tags that a command must have; %DATA only if there is a data set for it."""
    return tuple(tag for tag in REQUIRED if with_data or tag != DATA)


def check(
    template: Template, known: Iterable[str] = REQUIRED, required: Iterable[str] = REQUIRED
) -> None:
    """Refuse a command that cannot work: unknown, missing or misplaced tags, an unclosed quote.

    Args:
        known: the names of the tags that have a value, without the %; `required` are known too.
    """
    required = tuple(required)
    names = tuple(dict.fromkeys([*required, *known]))
    if template.scan.unclosed:
        raise BadInput(
            f"{template.scan.unclosed} of the command is never closed.",
            hint="If it is part of the text, put a backslash before it.",
        )
    for misplaced in template.scan.misplaced:
        _check_place(misplaced, names)
    _check_known(template.tags, names)
    _check_required(template, required)


def tag_name(text: str) -> str:
    """Return the name of a user-defined tag (`--sd "{'%REF': ...}"`) without its %.

    Raises:
        BadInput: it is not an upper-case word of at least two letters, or it is reserved.
    """
    name = text.removeprefix("%")
    if not re.fullmatch(r"[A-Z][A-Z0-9_]+", name) or len(name) > LONGEST_TAG:
        raise BadInput(
            f'"{one_line(text)}" cannot be a tag.',
            hint=f"A tag is % and 2 to {LONGEST_TAG} upper-case letters, digits or _, for example %REF.",
        )
    if name in REQUIRED:
        raise BadInput(f"%{name} is reserved.", hint="Choose another word, such as %REF.")
    return name


def _check_place(misplaced: Misplaced, names: tuple[str, ...]) -> None:
    # In these places % is an operator of the shell (${file%TXT}, $((a %N2))), so only known tags are mistakes.
    if misplaced.name in names:
        raise BadInput(
            f"%{misplaced.name} is {misplaced.where}, where no path can be written safely.",
            hint=misplaced.hint,
        )


def _check_known(tags: tuple[str, ...], names: tuple[str, ...]) -> None:
    unknown = [tag for tag in tags if tag not in names]
    if not unknown:
        return
    tag = unknown[0]
    if DATA in unknown:
        raise BadInput(
            "the command has %DATA, but no data set was named for it.",
            hint=words(Field.DATA, " names one; without one, leave %DATA out of the command."),
        )
    close = difflib.get_close_matches(tag.upper(), names, n=1, cutoff=0.6)
    longest = max((name for name in names if tag.startswith(name)), key=len, default=None)
    guess = close[0] if close else longest
    suggestion = f" Did you mean %{guess}?" if guess else ""
    raise BadInput(
        f"the command has the unknown tag %{tag}.",
        hint=f"Known {_listed(names)}.{suggestion} To write the text %{tag}, type %%{tag}.",
    )


def _check_required(template: Template, required: tuple[str, ...]) -> None:
    missing = [tag for tag in required if tag not in template.tags]
    if not missing:
        return
    if len(missing) == 1:
        tag = missing[0]
        consequence = _CONSEQUENCE.get(tag, "which every command needs")
        raise BadInput(
            f"the command has no %{tag}, {consequence}.", hint=_corrected(template.text, missing)
        )
    names = " and ".join([", ".join(f"no %{tag}" for tag in missing[:-1]), f"no %{missing[-1]}"])
    raise BadInput(f"the command has {names}.", hint=_corrected(template.text, missing))


def _corrected(text: str, missing: list[str]) -> str:
    for tag in missing:
        if variable := re.search(rf"\$(?:{tag}\b|{{{tag}}})", text):
            return f"{variable[0]} is a shell variable; the tag is written %{tag}."
    options = " ".join(f"{_OPTION[tag]} %{tag}" if tag in _OPTION else f"%{tag}" for tag in missing)
    # After a compound command, appended options might belong to the wrong part.
    if re.search(r"[;&|<>()`#\n]", text):
        return f"Add it where the program takes it, for example {options}."
    return f"For example: {text.rstrip()} {options}"


def _listed(names: tuple[str, ...]) -> str:
    tags = [f"%{name}" for name in names]
    return f"tag: {tags[0]}" if len(tags) == 1 else f"tags: {', '.join(tags[:-1])} and {tags[-1]}"


# Quoting a value

# An absolute path of these characters needs no quotes, whatever comes before or after it.
_PLAIN = re.compile(r"/[A-Za-z0-9@%+:./_-]*")
_PLAIN_IN_DOUBLE = re.compile(r'/[^"$`\\]*')
_PLAIN_IN_ANSI = re.compile(r"/[^'\\]*")


def _write(tag: Tag, values: Mapping[str, str]) -> str:
    if tag.name not in values:
        raise BadInput(f"the tag %{tag.name} has no value.")
    value = values[tag.name]
    if "\0" in value:
        raise BadInput(
            f"the value of %{tag.name} contains a NUL character, which no shell accepts."
        )
    if tag.quoting in (Quoting.HEREDOC, Quoting.QUOTED_HEREDOC):
        _check_line(tag, value)
    written = _written(value, tag.quoting)
    return re.sub(r"([\\`])", r"\\\1", written) if tag.backticks else written


def _written(value: str, quoting: Quoting) -> str:
    match quoting:
        case Quoting.NONE:
            return value if _PLAIN.fullmatch(value) else _quoted(value)
        case Quoting.WORD:
            return _quoted(value)
        case Quoting.SINGLE:
            return value.replace("'", r"'\''")
        case Quoting.DOUBLE:
            # Otherwise close the double quotes and reopen them after it: "$x(" must not become a substitution.
            return value if _PLAIN_IN_DOUBLE.fullmatch(value) else f'"{_quoted(value)}"'
        case Quoting.ANSI:
            return value if _PLAIN_IN_ANSI.fullmatch(value) else f"'{_quoted(value)}$'"
        case Quoting.HEREDOC:
            return re.sub(r"([\\$`])", r"\\\1", value)
        case Quoting.QUOTED_HEREDOC:
            return value


def _quoted(value: str) -> str:
    return "'" + value.replace("'", r"'\''") + "'"


def _check_line(tag: Tag, value: str) -> None:
    # Where a line starts like the delimiter, dash loses the first byte of a non-ASCII letter.
    starts_alike = value[:1] == tag.delimiter[:1]
    if "\n" in value or value in tag.delimiter or starts_alike:
        raise BadInput(
            f"%{tag.name} is in a here-document, which {value!r} could end.",
            hint="Pass it on the program's command line instead.",
        )
