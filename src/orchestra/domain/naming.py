"""Names as people type them: data sets and tasks (`user.<username>.<name>`), users, nodes, files of a job.

Each `parse_...` returns the value, each `check_...` the text itself; both raise BadInput with one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.storable import LARGEST
from orchestra.domain.wording import Field, words

# A name is also a folder on the volume; file systems allow 255 bytes.
MAX_NAME = 200
MAX_ORDINAL = LARGEST
LARGEST_SIZE = 2**60

_LONGEST_MADE = 80
"""Characters of a name that is made from a file's: room for a prefix and a number."""

_ALLOWED = "letters a-z and A-Z, digits, '.', '_', '-' and '+'"
_PART = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class OwnedName:
    """The name of a data set or a task: `user.<username>.<name>`."""

    username: str
    name: str

    def __str__(self) -> str:
        return f"user.{self.username}.{self.name}"


def parse_name(text: str, *, username: str | None = None) -> OwnedName:
    """Read `user.<username>.<name>`.

    Args:
        username: the user that it must belong to; a name without a dot (`grid`) is then enough. Without it, the
            username ends at the first dot, so a username that contains a dot (`first.last`) must be given.
    """
    if username is not None:
        return _parse_own(text, username)
    shape = re.fullmatch(r"user\.([^.]+)\.(.+)", text, re.DOTALL)
    if not shape:
        raise BadInput(
            f'"{one_line(text)}" is not of the form user.<username>.<name>.',
            hint=f"For example user.ana.{text}, with your own name."
            if re.fullmatch(r"[\w-]{1,40}", text, re.ASCII)
            else "For example user.ana.my_config_files.",
        )
    check_user_name(shape[1])
    return OwnedName(shape[1], _checked_part(text, shape[2]))


def is_short(text: str) -> bool:
    """Whether this is a name without its prefix `user.<username>.`."""
    return not text.startswith("user.") and bool(_PART.fullmatch(text))


def _parse_own(text: str, username: str) -> OwnedName:
    prefix = f"user.{username}."
    if is_short(text):
        if "." in text:
            raise BadInput(
                f'"{one_line(text)}" is not of the form user.<username>.<name>.',
                hint=f"For example {prefix}{text.removeprefix(f'{username}.')}; "
                "a name without a dot needs no prefix.",
            )
        text = prefix + text
    if not text.startswith(prefix):
        other = parse_name(text)
        raise BadInput(
            f'"{one_line(text)}" belongs to user "{other.username}", but you are "{username}".',
            hint=f"Your names start with {prefix}",
        )
    if text == prefix:
        raise BadInput(f'"{text}" has no name after the last dot.')
    return OwnedName(username, _checked_part(text, text.removeprefix(prefix)))


def _checked_part(text: str, part: str) -> str:
    if not _PART.fullmatch(part):
        strange = next((char for char in part if not _PART.fullmatch("x" + char)), None)
        what = f"the character {strange!r}" if strange else "a dot at the start of its name"
        raise BadInput(f'"{one_line(text)}" has {what}.', hint=f"Names are made of {_ALLOWED}.")
    if len(text) > MAX_NAME:
        raise BadInput(f'"{one_line(text)}" is longer than {MAX_NAME} characters.')
    return part


def part_of(text: str) -> str:
    """Turn a file's name into the last part of a name: "_" for what that cannot have. May be empty."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", text).lstrip(".")[:_LONGEST_MADE]


def check_user_name(text: str) -> str:
    """Check the name of a user: that of a Unix account, dots allowed."""
    return _check_simple(text, _USER, "a user name", 64)


def check_node_name(text: str) -> str:
    """Check the name of a node, usually its host name."""
    return _check_simple(text, _NODE, "a node name", 253)


def as_name(text: str) -> str:
    """Turn a login or host name into the name of a user or node, with "_" for invalid characters. May be empty."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".-")


def _check_simple(text: str, pattern: re.Pattern[str], what: str, longest: int) -> str:
    if not pattern.fullmatch(text) or len(text) > longest:
        raise BadInput(
            f'"{one_line(text)}" cannot be {what}.',
            hint=f"Use up to {longest} letters a-z and A-Z, digits, '_', and '.' or '-' after the first.",
        )
    return text


def check_email(text: str) -> str:
    """Check the form of an e-mail address."""
    local, _, domain = text.rpartition("@")
    strange = any(
        char.isspace() or not char.isprintable() or char in r'<>,;:"()[]\@'
        for char in local + domain
    )
    # An empty part between dots would have to be quoted, which servers do not understand.
    whole = all([*local.split("."), *domain.split(".")])
    if strange or not whole or len(text) > 254:
        raise BadInput(
            f'"{one_line(text)}" is not an e-mail address.', hint="For example ana@example.org."
        )
    return text


def is_real_address(address: str) -> bool:
    """Whether an address can be reached from outside, unlike one made of a login and a host name."""
    domain = address.rpartition("@")[2]
    return "." in domain.strip(".") or domain == "localhost"


def check_metrics_file(text: str) -> str:
    """Check the name of a metrics file: a path below a job's output folder.

    Raises:
        BadInput: it leads elsewhere, or is not printable text.
    """
    if not _is_below(text):
        raise BadInput(
            words(Field.METRICS, f" {text!a} is not a path below a job's output folder."),
            hint="For example metrics.json, or logs/final.json.",
        )
    return text


def check_complete_file(text: str | None) -> None:
    """Refuse a "complete" file that is not a path below a job's output folder.

    Raises:
        BadInput: it leads elsewhere, or is not printable text.
    """
    if text is not None and not _is_below(text):
        raise BadInput(
            f"job_complete_file_name {text!a} is not a path below a job's output folder.",
            hint="For example .complete",
        )


def _is_below(text: str) -> bool:
    return len(text) <= 255 and text.isprintable() and not {"", ".", ".."} & set(text.split("/"))


def numbered(name: str) -> Iterator[str]:
    """Yield a name and those that count on from it, without end: `fit`, `fit-2`, `fit-3`; `fit-7`, `fit-8`."""
    yield name
    stem, number = name, 1
    if found := re.fullmatch(r"(.*[^-])-([1-9][0-9]{0,8})", name, re.DOTALL):
        stem, number = found[1], int(found[2])
    for following in count(number + 1):
        suffix = f"-{following}"
        yield stem[: MAX_NAME - len(suffix)] + suffix


def natural_key(text: str) -> tuple[str, str]:
    """A sort key for natural order: `job.2` before `job.10`. A total order."""
    return _DIGITS.sub(_padded, text), text


_DIGITS = re.compile(r"[0-9]+")


def _padded(digits: re.Match[str]) -> str:
    # 20 digits hold any counter and time stamp; longer numbers sort by length first.
    bare = digits[0].lstrip("0")
    return bare.zfill(20) if len(bare) <= 20 else f":{len(bare):03}{bare}"


def report_file(task: str) -> str:
    """The file name of the written report on a task."""
    return f"{task}.html"
