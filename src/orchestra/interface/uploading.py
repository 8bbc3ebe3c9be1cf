"""Registering files over a server: where they lie if its machines see them there, else after an upload."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestra.domain import human, uploads
from orchestra.domain.errors import BadInput, Refused, ServerUnavailable
from orchestra.domain.models.datasets import Manifest
from orchestra.domain.uploads import Content, Part
from orchestra.files import local_machine
from orchestra.interface.answers.datasets import Removal
from orchestra.interface.datasets import GetDataSet
from orchestra.interface.operation import Interface
from orchestra.interface.uploads import FileList, NewFolder, Placed, Uploads

Report = Callable[[int, int], None]
"""Called with the bytes that were sent, and with those that are to be sent."""

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Taken:
    """Files as they are to be registered, and which way was taken, for people; None if there was no choice."""

    manifest: Manifest
    note: str | None = None


def uploads_of(ask: Interface) -> Uploads | None:
    """Return the uploads of the server that an interface asks; None if it asks a database."""
    found: Uploads | None = getattr(ask, "uploads", None)
    return found


def label_of(dataset: str) -> str:
    """Return the name of the folder for a data set's files: the last part of its full name."""
    return dataset.split(".", 2)[2]


def is_uploaded(ask: Interface, config: str) -> bool:
    """Return whether a task's configs are a data set that was uploaded."""
    if not config or config.startswith("task:"):
        return False
    return ask(GetDataSet(config)).source is not None


def is_elsewhere(ask: Interface, folder: str) -> bool:
    """Return whether a folder is not on this machine and need not be, since a server that takes uploads is asked."""
    server = uploads_of(ask)
    return server is not None and not os.path.lexists(folder) and server.terms().takes


def taken(
    ask: Interface, label: str, manifest: Manifest, upload: bool | None, report: Report
) -> Taken:
    """Return files as the nodes will find them, after an upload if necessary.

    Args:
        label: the name of the folder for them on the server.
        upload: whether to upload them; None: if the server takes uploads, and does not see the files where they lie.

    Raises:
        BadInput: a file has changed since it was read; there is no server.
        Refused: the server takes no uploads, or not as many bytes.
        ServerUnavailable: the connection was lost. What has arrived is not sent again next time.
    """
    server = uploads_of(ask)
    if server is None:
        if upload:
            raise BadInput("files are only uploaded to a server, and none is configured.")
        return Taken(manifest)
    if upload is False:
        return Taken(manifest)
    terms = server.terms()
    files = FileList(manifest.root, manifest.is_folder, manifest.entries)
    if upload is None:
        if not terms.takes:
            return Taken(manifest)
        if _is_below(manifest.root, terms.roots) and server.sees(files):
            return Taken(manifest, f"The server sees the files, too: they stay in {manifest.root}")
    return _uploaded(server, label, manifest, files, report)


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(f"{path}/".startswith(f"{root.rstrip('/')}/") for root in roots)


def _uploaded(
    server: Uploads, label: str, manifest: Manifest, files: FileList, report: Report
) -> Taken:
    folder = NewFolder(label, files, tuple(_executable(manifest)))
    missing = server.missing(uploads.contents(manifest))
    sent = 0
    try:
        for _ in range(_TRIES):
            sent += _send(server, manifest, missing, report)
            placed = server.place(folder)
            if not placed.missing:
                return _registered(manifest, placed, sent)
            missing = placed.missing
    except ServerUnavailable as error:
        error.remedy = "What has arrived is kept: the same command goes on from there."
        raise
    raise Refused("the server has lost files that were uploaded.", hint="Try again.")


def _registered(manifest: Manifest, placed: Placed, sent: int) -> Taken:
    entries = tuple(
        replace(entry, mtime_ns=time)
        for entry, time in zip(manifest.entries, placed.mtimes_ns, strict=True)
    )
    what = f"{human.count(len(entries), 'file')}, {human.size(manifest.bytes)}"
    how = f"{human.size(sent)} sent" if sent else "nothing had to be sent"
    return Taken(
        replace(
            manifest,
            root=placed.root,
            entries=entries,
            source=f"{local_machine.host()}:{manifest.root}",
        ),
        f"Uploaded {what} ({how}); the jobs read them in {placed.root}",
    )


def _send(server: Uploads, manifest: Manifest, missing: tuple[Content, ...], report: Report) -> int:
    total = sum(each.size - each.have for each in missing)
    indexes = {entry.sha256: index for index, entry in enumerate(manifest.entries)}
    sent = 0
    for batch in uploads.batches(missing):
        data = b"".join(_read(manifest, indexes[part.sha256], part) for part in batch)
        server.send(batch, data)
        sent += len(data)
        report(sent, total)
    return sent


def _read(manifest: Manifest, index: int, part: Part) -> bytes:
    path = _path(manifest, index)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            data = os.pread(descriptor, part.length, part.offset)
            found = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) != part.length or found.st_size != part.size:
        raise BadInput(
            f"{path} has changed since its checksum was taken.",
            hint="Try again when nothing is writing to it.",
        )
    return data


def _path(manifest: Manifest, index: int) -> str:
    return (
        f"{manifest.root}/{manifest.entries[index].path}" if manifest.is_folder else manifest.root
    )


def _executable(manifest: Manifest) -> Iterator[int]:
    for index in range(len(manifest.entries)):
        with suppress(OSError):
            if os.stat(_path(manifest, index)).st_mode & stat.S_IXUSR:  # noqa: PTH116
                yield index


def remove(ask: Interface, removal: Removal) -> bool:
    """Remove the files of a deleted data set that was uploaded, unless a task needs them; return whether it did."""
    server = uploads_of(ask)
    if server is None or removal.dataset.source is None:
        return False
    return server.remove(label_of(removal.dataset.name)) > 0
