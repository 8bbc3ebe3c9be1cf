"""Parts of logs: what is asked of whoever can read a log, and what it sends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.domain.models.work import AttemptKey

PART = 256 * 1024
"""Bytes of a log that are read at a time, at most."""


class LogSource(StrEnum):
    """Where a part of a log was read."""

    FILE = "file"
    RELAY = "relay"
    """The file as well, by the pilot that ran the attempt."""
    TAIL = "tail"
    """The end that the database keeps."""


@dataclass(frozen=True, slots=True)
class WantedPart:
    """A part of an attempt's log.

    Args:
        folder: the attempt's.
        start: the first byte; from the log's end if negative.
        known_end: the last bytes of what the attempt printed if it has ended; a file that does not end so is another.
    """

    folder: str
    start: int
    known_end: bytes | None = None


@dataclass(frozen=True, slots=True)
class AskedPart:
    """A part of a log that a pilot is asked for."""

    key: AttemptKey
    wanted: WantedPart


@dataclass(frozen=True, slots=True)
class FoundPart:
    """A part as it was read: `data` begins where `first_byte` says, in a log of `length` bytes."""

    length: int
    data: bytes


def first_byte(start: int, length: int) -> int:
    """Return the first byte of a part that was asked for, in a log of this length."""
    return min(start, length) if start >= 0 else max(0, length + start)
