"""What the database can hold. What people and programs give is refused with a sentence before anything is written,
under `--dry_run` as well; what comes from jobs and machines is made storable, so that nothing of it is lost. Pure.

PostgreSQL's text has neither NUL nor half characters (bytes that are no UTF-8, as Python reads them), an integer column
has 32 bits, and what an index holds may not be long: names have bounds of their own in `naming`.
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
"""What an integer column holds."""
MOST_RETRIES = 2**15 - 2
"""The column that counts a job's failures has 16 bits; the last failure is one more."""
LONGEST_REASON = 4_000
LONGEST_PATH = 4_096
"""Bytes of a path, as Linux has it; also of an image."""
LONGEST_VALUE = 64 * 1024
"""Bytes of a command, and of all variables of a task's jobs together; Linux takes no argument of 128 KiB."""

_WRONG = re.compile("[\0\ud800-\udfff]")
_CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f]")
_Row = TypeVar("_Row")


def trouble_with(text: str, *, most: int | None = None) -> str | None:
    """Give what keeps the database from holding a text of at most `most` bytes, as the end of a sentence; else None."""
    if found := _WRONG.search(text):
        return "has a NUL character" if found[0] == "\0" else "is no valid UTF-8 text"
    if most is not None and len(text.encode()) > most:
        return (
            f"is longer than {most:,} bytes"
            if most % 1024
            else f"is longer than {most // 1024} KiB"
        )
    return None


def check_text(what: Sentence, text: str, *, most: int | None = None) -> str:
    """Give a text back that the database can hold; `what` it is begins the sentence, and shows it or does not.

    Raises:
        BadInput: the database cannot hold it.
    """
    if trouble := trouble_with(text, most=most):
        raise BadInput(words(what, f" {trouble}."))
    return text


def check_volume(volume: str) -> None:
    """Refuse what cannot be the path of a volume, wherever it is.

    Raises:
        BadInput: it is no full path, or the database cannot hold it.
    """
    check_text(f'the volume "{one_line(volume)}"', volume, most=LONGEST_PATH)
    if not volume.startswith("/"):
        raise BadInput(f"the volume {volume!r} is no full path.")


def check_whole(what: str | Field, number: int, *, least: int, most: int = LARGEST) -> None:
    """Refuse a number that is too small, or that its column cannot hold.

    Raises:
        BadInput: it is one.
    """
    if not least <= number <= most:
        bound = f"at least {least:,}" if number < least else f"at most {most:,}"
        raise BadInput(words(what, f" is {bound}."))


def check_reason(text: str | None) -> str | None:
    """Give the words back by which people say why they do something; they may have several lines.

    Raises:
        BadInput: the database cannot hold them, or no terminal can show them.
    """
    if text is None:
        return None
    if not isinstance(text, str):  # from a caller without a type checker
        raise BadInput(f"a reason is a text, not {text!r}.")
    check_text("the reason", text, most=LONGEST_REASON)
    if found := _CONTROL.search(text):
        raise BadInput(f"the reason has the control character {found[0]!r}.")
    return text


def check_environment(env: Mapping[str, str]) -> None:
    """Refuse more variables than a process can be given beside its pilot's.

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
            hint="Put what is long into a file, and give its path.",
        )


def check_binds(binds: Iterable[str]) -> None:
    """Refuse more binds than a container's command can have.

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
    """Give a number from elsewhere, or the nearest one that a bigint column holds: files may have times after 2262."""
    return max(-(2**63), min(2**63 - 1, number))


def storable(text: str) -> str:
    """Give text from elsewhere as the database can hold it: what it cannot is spelled out."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def with_storable_texts(row: _Row) -> _Row:
    """Give a dataclass with each of its texts, and those in its tuples, made storable."""
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
