"""The header `Range` of HTTP (RFC 9110, section 14): which bytes of something are wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(
    r"bytes[ \t]*=[ \t]*(\d{0,18})[ \t]*-[ \t]*(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` to `last`, both included; to the end without `last`.

    A negative `start` counts from the end: the last `-start` bytes, or all if there are fewer.
    """

    start: int
    last: int | None = None


def parse_range(header: str | None) -> ByteRange | None:
    """Return the range that a header asks for, or None: everything is wanted.

    That is so as well for several ranges and for what is not valid, as the RFC lets a server choose. `bytes=-0`, which
    no bytes satisfy, begins where no log has a byte.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return ByteRange(-int(last)) if int(last) else ByteRange(NOWHERE)
    if last and int(last) < int(first):
        return None
    return ByteRange(int(first), int(last) if last else None)


NOWHERE = 10**18
