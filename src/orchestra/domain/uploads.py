"""Uploads: the contents of files, sent to a server in parts. Pure.

The server keeps each content once for each user. It is known by its checksum, so what has arrived is not sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestra.domain.errors import BadInput
from orchestra.domain.models.datasets import Manifest

BATCH = 8 << 20
"""Bytes of contents in one request: little enough for proxies and for repeating it."""
PARTS = 2_000
"""Parts in one request."""
_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file: its SHA-256 digest and its size in bytes. `have`: the bytes that have arrived."""

    sha256: bytes
    size: int
    have: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a content from an offset on."""

    sha256: bytes
    size: int
    offset: int
    length: int

    @property
    def is_all(self) -> bool:
        """Whether it is the whole content."""
        return self.length == self.size

    @property
    def is_last(self) -> bool:
        """Whether the content is complete with it."""
        return self.offset + self.length == self.size


def contents(manifest: Manifest) -> tuple[Content, ...]:
    """Return the contents of a manifest's files, each once."""
    found = {entry.sha256: entry.size for entry in manifest.entries}
    return tuple(
        Content(sha256, size) for sha256, size in found.items() if sha256 and size is not None
    )


def check_contents(found: Iterable[Content]) -> None:
    """Refuse what is no content.

    Raises:
        BadInput: a size or a checksum cannot be one.
    """
    for each in found:
        _check(each.sha256, each.size)


def check_parts(parts: Sequence[Part], length: int) -> None:
    """Refuse parts that are not the `length` bytes that were sent.

    Raises:
        BadInput: they are not.
    """
    for part in parts:
        _check(part.sha256, part.size)
        if part.offset < 0 or part.length < 0 or part.offset + part.length > part.size:
            raise BadInput("a part is not within its file.")
    if len(parts) > PARTS or sum(part.length for part in parts) != length:
        raise BadInput("the parts are not what was sent.")


def _check(sha256: bytes, size: int) -> None:
    if len(sha256) != hashlib.sha256().digest_size or size < 0:
        raise BadInput("the size or the checksum of a file cannot be one.")


def batches(missing: Iterable[Content]) -> Iterator[list[Part]]:
    """Yield what is to be sent, in requests. A content that fits into a request is never divided."""
    batch: list[Part] = []
    room = BATCH
    for each in missing:
        at = each.have
        while True:
            left = each.size - at
            if batch and (min(left, BATCH) > room or len(batch) == PARTS):
                yield batch
                batch, room = [], BATCH
            length = min(left, room)
            batch.append(Part(each.sha256, each.size, at, length))
            at, room = at + length, room - length
            if at == each.size:
                break
    if batch:
        yield batch


def folder_name(manifest: Manifest, executable: frozenset[int]) -> str:
    """Return the name of the folder for the files of a manifest: the same for the same names and contents.

    Args:
        executable: the indexes of the files that can be executed.
    """
    digest = hashlib.sha256(b"folder" if manifest.is_folder else b"file")
    for index, entry in enumerate(manifest.entries):
        digest.update(entry.path.encode() + (b"\1" if index in executable else b"\0"))
        digest.update(entry.sha256 or b"")
    return digest.hexdigest()[:_DIGITS]
