"""What the database can store. Pure.

Input of people and programs is refused with a sentence before anything is written, also with `--dry_run`. Data of jobs
and machines is made storable, so that nothing is lost. PostgreSQL's text has neither NUL nor lone surrogates (Python's
form of bytes that are not UTF-8), an integer column has 32 bits, and indexed values are short: `naming` limits names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.wording import Field, Sentence, words

LARGEST = 2**31 - 1
"""The largest value of an integer column."""
MOST_RETRIES = 2**15 - 2
"""The column that counts a job's failures has 16 bits; it must hold one more than the retries."""
LONGEST_REASON = 4_000
LONGEST_PATH = 4_096
"""Bytes of a path (the limit of Linux), and of an image."""
LONGEST_VALUE = 64 * 1024
"""Bytes of a command, and of all variables of a job together. Linux limits an argument to 128 KiB."""

_WRONG = re.compile("[\0\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")
_Row = TypeVar("_Row")


def trouble_with(text: str, *, most: int | None = None) -> str | None:
    """Say, as the end of a sentence, why the database cannot store a text of at most `most` bytes; else None."""
    if found := _WRONG.search(text):
        return "has a NUL character" if found[0] == "\0" else "is not valid UTF-8 text"
    if most is not None and len(text.encode()) > most:
        return (
            f"is longer than {most:,} bytes"
            if most % 1024
            else f"is longer than {most // 1024} KiB"
        )
    return None


def check_text(what: Sentence, text: str, *, most: int | None = None) -> str:
    """Return the text if the database can store it. `what` starts the sentence if not.

    Raises:
        BadInput: the database cannot hold it.
    """
    if trouble := trouble_with(text, most=most):
        raise BadInput(words(what, f" {trouble}."))
    return text


def check_volume(volume: str) -> None:
    """Refuse an invalid path of a volume, without looking at the file system.

    Raises:
        BadInput: it is not an absolute path, or the database cannot hold it.
    """
    check_text(f'the volume "{one_line(volume)}"', volume, most=LONGEST_PATH)
    if not volume.startswith("/"):
        raise BadInput(f"the volume {volume!r} is not an absolute path.")


def check_whole(what: str | Field, number: int, *, least: int, most: int = LARGEST) -> None:
    """Refuse a number that is too small, or too large for its column.

    Raises:
        BadInput: it is out of range.
    """
    if not least <= number <= most:
        bound = f"at least {least:,}" if number < least else f"at most {most:,}"
        raise BadInput(words(what, f" must be {bound}."))


LARGEST_PAGE = 10_000


def check_page(*, first: int = 0, limit: int) -> None:
    """Refuse a page that cannot be, or that is so large that a server should not have to hold it.

    Raises:
        BadInput: it begins before 0, or has less than 1 or more than `LARGEST_PAGE` entries.
    """
    check_whole("the first entry of a page", first, least=0, most=2**63 - 1)
    check_whole("the length of a page", limit, least=1, most=LARGEST_PAGE)


def check_reason(text: str | None) -> str | None:
    """Return the reason that a user gives for an action; it may have several lines.

    Raises:
        BadInput: the database cannot store it, or a terminal cannot show it.
    """
    if text is None:
        return None
    if not isinstance(text, str):  # from a caller without a type checker
        raise BadInput(f"a reason must be a string, not {text!r}.")
    check_text("the reason", text, most=LONGEST_REASON)
    if found := _CONTROL.search(text):
        raise BadInput(f"the reason contains the control character {found[0]!r}.")
    return text


def check_environment(env: Mapping[str, str]) -> None:
    """Refuse variables that are too long together for the environment of a process.

    Raises:
        BadInput: they are too long together.
    """
    length = sum(len(f"{name}={value}".encode()) for name, value in env.items())
    if length > LONGEST_VALUE:
        raise BadInput(
            words(
                "the variables of ",
                Field.ENV,
                f" are longer than {LONGEST_VALUE // 1024} KiB together.",
            ),
            hint="Put long values in a file, and pass its path.",
        )


def check_binds(binds: Iterable[str]) -> None:
    """Refuse binds that are too long together for a container's command.

    Raises:
        BadInput: they are too long together.
    """
    if sum(len(each.encode()) for each in binds) > LONGEST_VALUE:
        raise BadInput(
            words(
                "the paths of ",
                Field.BIND,
                f" are longer than {LONGEST_VALUE // 1024} KiB together.",
            )
        )


def within_64_bits(number: int) -> int:
    """Clamp a number to a bigint column: files may have times after the year 2262."""
    return max(-(2**63), min(2**63 - 1, number))


def storable(text: str) -> str:
    """Return untrusted text as the database can store it, with invalid characters escaped."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def with_storable_texts(row: _Row) -> _Row:
    """Return a dataclass with all its texts, also those in tuples, made storable."""
    changes: dict[str, Any] = {}
    for name in (field.name for field in fields(row)):  # type: ignore[arg-type]  # any dataclass
        value = getattr(row, name)
        if isinstance(value, str) and _WRONG.search(value):
            changes[name] = storable(value)
        elif isinstance(value, tuple) and any(
            isinstance(v, str) and _WRONG.search(v) for v in value
        ):
            changes[name] = tuple(storable(v) if isinstance(v, str) else v for v in value)
    return replace(row, **changes) if changes else row  # type: ignore[type-var]
