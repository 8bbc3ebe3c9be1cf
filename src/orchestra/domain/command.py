"""The command template: `python3 train.py -d %DATA -c %IN -o %OUT`.

A tag is `%` and a word that begins with two upper-case letters (digits and `_` count after the first), the
longest one: `%IN_DIR` is not `%IN` and `_DIR`. `%F`, `%Y%m` and `%s` are nothing special, so `date +%F` needs no
care. `%%` is one percent sign. A backslash before the percent sign makes it an ordinary one, as it does for any
character in a shell. Line ends of DOS become those of Unix; everything else comes out byte for byte as it was typed.

A value is written for the quotes that its tag stands in, so that the shell reads exactly the value back:
unquoted, '...', "...", $'...', in $(...) and `...`, and in here-documents. Comments are text. Where no way of
writing it is safe (inside ${...} and ((...)), right after a $, in a substitution inside a here-document, in
backticks inside double quotes or with a backslash), `check` refuses the tag and says what to write instead;
nothing at all is changed there, `%%` included.

Not handled, because it is the command's own doing: a string that a second shell or `eval` reads once more
(`bash -c "cat %IN"`, `ssh host "cat %IN"`); there the value is code. Pass it as an argument:
`bash -c 'cat "$1"' - %IN`.
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

if TYPE_CHECKING:
    from orchestra.domain.shell_scanner import Misplaced, Scan

REQUIRED = ("DATA", "IN", "OUT")

# Linux hands a program no argument of 128 KiB or more (MAX_ARG_STRLEN); this leaves room for the paths.
MAX_BYTES = LONGEST_VALUE
# A tag is part of a key, and keys are short.
LONGEST_TAG = 64

# What a task's creator most likely forgot: the original's option for the tag, and what comes of leaving it out.
_OPTION = {"DATA": "-d", "IN": "-c", "OUT": "-o"}
_CONSEQUENCE = {
    "DATA": "so its jobs would not know their data",
    "IN": "so all of its jobs would do the same",
    "OUT": "so its jobs would not know where to write",
}


@dataclass(frozen=True, slots=True)
class Template:
    """A command with its tags found. Made by `parse`."""

    text: str
    scan: Scan

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of its tags without the %, each once, in order of appearance."""
        return tuple(dict.fromkeys(part.name for part in self.scan.parts if isinstance(part, Tag)))

    def render(self, values: Mapping[str, str]) -> str:
        """The command with each tag replaced by its value; `values` has names without the %.

        Raises:
            BadInput: a tag has no value, or a value cannot be written where its tag stands (a NUL anywhere, a
                line break in a here-document).
        """
        return "".join(
            part if isinstance(part, str) else _write(part, values) for part in self.scan.parts
        )


def parse(text: str) -> Template:
    """Find the tags of a command.

    Raises:
        BadInput: the command is empty, too long, or has a character that no shell can be given.
    """
    text = text.replace("\r\n", "\n").rstrip(
        "\r"
    )  # pasted from a file that an editor of Windows wrote
    if not text.strip():
        raise BadInput("the command is empty.")
    if trouble := trouble_with(text, most=MAX_BYTES):
        is_long = trouble_with(text) is None
        raise BadInput(
            f"the command {trouble}.",
            hint="Put it into a script and call that." if is_long else None,
        )
    return Template(text, scan(text))


def check(
    template: Template, known: Iterable[str] = REQUIRED, required: Iterable[str] = REQUIRED
) -> None:
    """Refuse a command that cannot work: tags that are unknown, missing or misplaced, a quote never closed.

    Args:
        known: the names of the tags that have a value, without the %; `required` are known too.
    """
    required = tuple(required)
    names = tuple(dict.fromkeys([*required, *known]))
    if template.scan.unclosed:
        raise BadInput(
            f"{template.scan.unclosed} of the command is never closed.",
            hint="If it belongs to the text, put a backslash before it.",
        )
    for misplaced in template.scan.misplaced:
        _check_place(misplaced, names)
    _check_known(template.tags, names)
    _check_required(template, required)


def tag_name(text: str) -> str:
    """The name of a tag that a user makes up (`--sd "{'%REF': ...}"`), without its %.

    Raises:
        BadInput: it is no upper-case word of two letters or more, or it is taken.
    """
    name = text.removeprefix("%")
    if not re.fullmatch(r"[A-Z][A-Z0-9_]+", name) or len(name) > LONGEST_TAG:
        raise BadInput(
            f'"{one_line(text)}" cannot be a tag.',
            hint=f"A tag is % and 2 to {LONGEST_TAG} upper-case letters, digits or _, for example %REF.",
        )
    if name in REQUIRED:
        raise BadInput(f"%{name} has its meaning already.", hint="Take another word, such as %REF.")
    return name


def _check_place(misplaced: Misplaced, names: tuple[str, ...]) -> None:
    # In these places % has meanings of its own (${file%TXT}, $((a %N2))), so only a tag that exists is a mistake.
    if misplaced.name in names:
        raise BadInput(
            f"%{misplaced.name} stands {misplaced.where}, where no path can be written safely.",
            hint=misplaced.hint,
        )


def _check_known(tags: tuple[str, ...], names: tuple[str, ...]) -> None:
    unknown = [tag for tag in tags if tag not in names]
    if not unknown:
        return
    tag = unknown[0]
    close = difflib.get_close_matches(tag.upper(), names, n=1, cutoff=0.6)
    longest = max((name for name in names if tag.startswith(name)), key=len, default=None)
    guess = close[0] if close else longest
    suggestion = f" Did you mean %{guess}?" if guess else ""
    raise BadInput(
        f"the command has the tag %{tag}, which means nothing here.",
        hint=f"There {_listed(names)}.{suggestion} The text %{tag} itself is written %%{tag}.",
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
            return f"{variable[0]} is a variable of the shell; the tag is written %{tag}."
    options = " ".join(f"{_OPTION[tag]} %{tag}" if tag in _OPTION else f"%{tag}" for tag in missing)
    # Behind a command of several parts the options might belong to the wrong one.
    if re.search(r"[;&|<>()`#\n]", text):
        return f"Say it where the program takes it, for example {options}."
    return f"{text.rstrip()} {options}   would do."


def _listed(names: tuple[str, ...]) -> str:
    tags = [f"%{name}" for name in names]
    return f"is {tags[0]}" if len(tags) == 1 else f"are {', '.join(tags[:-1])} and {tags[-1]}"


# Writing a value

# An absolute path of these letters needs no quotes anywhere; nothing that stands before or after it changes that.
_PLAIN = re.compile(r"/[A-Za-z0-9@%+:./_-]*")
_PLAIN_IN_DOUBLE = re.compile(r'/[^"$`\\]*')
_PLAIN_IN_ANSI = re.compile(r"/[^'\\]*")


def _write(tag: Tag, values: Mapping[str, str]) -> str:
    if tag.name not in values:
        raise BadInput(f"the tag %{tag.name} has no value.")
    value = values[tag.name]
    if "\0" in value:
        raise BadInput(
            f"the value of %{tag.name} has a NUL character, which no shell can be given."
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
            # Otherwise the double quotes end before it and begin again: "$x(" must not become a substitution.
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
    # Where a line begins as the delimiter does, dash loses the first byte of a letter that is not ASCII.
    begins_alike = value[:1] == tag.delimiter[:1]
    if "\n" in value or value in tag.delimiter or begins_alike:
        raise BadInput(
            f"%{tag.name} stands in a here-document, where {value!r} could end it.",
            hint="Put it on the command line of the program instead.",
        )
