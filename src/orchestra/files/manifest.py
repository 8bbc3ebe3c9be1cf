"""The list of a data set's files: names in order, sizes, times and checksums.

A folder stands for its regular files, including those of subfolders, in natural order (`job.2` before `job.10`).
Symlinks to files and folders are followed. `domain/file_choice.py` decides what is skipped, such as hidden files, and
folders with outputs of tasks are left out. Anything else that cannot be registered is refused by name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

from orchestra.domain import file_choice
from orchestra.domain.errors import BadInput, VolumeError
from orchestra.domain.human import count, size
from orchestra.domain.manifests import TEXT_AT_MOST
from orchestra.domain.models.datasets import USUAL, FileChoice, Manifest, ManifestEntry
from orchestra.domain.storable import within_64_bits
from orchestra.domain.wording import Field, words
from orchestra.files import fs_health
from orchestra.files.file_texts import FileTexts
from orchestra.files.listing import FolderListing, check_path_text, check_regular, unreadable

Progress = Callable[[int, int, int], None]
"""Called in the caller's thread with files done, all files, and bytes read."""

# More than cores, because on a network file system most of the time is spent waiting.
THREADS = 8
_FILES_AT_A_TIME = 64
# Errors of the file system, which say nothing about the file.
_PASSING = {
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}
_BLOCK = 1 << 20
# A thread reports its progress after so many bytes of a file.
_REPORT = 8 * _BLOCK


def scan(
    path: str | os.PathLike[str],
    progress: Progress | None = None,
    choice: FileChoice = USUAL,
) -> Manifest:
    """Return the names, sizes, times and SHA-256 checksums of a file or of a folder's files.

    Ctrl-C and exceptions of `progress` end it at once.

    Raises:
        BadInput: the path does not exist, or the folder has no files; a name is not valid UTF-8; something is not a
            regular file, cannot be read, or changed while it was read.
    """
    root = absolute(os.fspath(path))
    check_path_text(root)
    fs_health.check(path)
    try:
        mode = Path(root).stat().st_mode
    except OSError as error:
        raise unreadable(root, error) from error
    if not stat.S_ISDIR(mode):
        check_regular(root, mode)
        if choice.include or choice.exclude:
            raise BadInput(
                words(Field.INCLUDE, " and ", Field.EXCLUDE, f" are for folders; {root} is a file.")
            )
        return replace(
            read_files(str(Path(root).parent), [Path(root).name], progress),
            root=root,
            is_folder=False,
        )
    listing = FolderListing(root, file_choice.check(choice))
    listing.read()
    if not listing.names:
        raise listing.nothing()
    return replace(
        read_files(root, listing.names, progress),
        skipped=tuple(listing.skipped),
        outputs=tuple(listing.outputs),
        choice=choice,
        unmatched=file_choice.unmatched(choice, (*listing.names, *listing.passed_over)),
    )


def read_files(root: str, names: Sequence[str], progress: Progress | None = None) -> Manifest:
    """Return the manifest of the named files below a folder.

    Raises:
        BadInput: one of them is not a regular file, cannot be read, or changed while it was read.
    """
    work = _hash_all(root, names, progress)
    texts, texts_cut = work.texts.kept()
    return Manifest(root, True, work.entries, texts=texts, texts_cut=texts_cut)


def check_file(
    expected: ManifestEntry, path: str, report: Callable[[int], None] = lambda _: None
) -> str | None:
    """Compare a file with its registered entry; None if it is the same, else why not, without a full stop.

    Size and time are compared; only if just the time differs, the checksum is computed. An entry without a size is a
    folder (an older task's output) and must exist. `report` is called with the bytes read for a checksum.

    Raises:
        VolumeError: the file system has an error, so nothing is known about the file.
    """
    try:
        found = Path(path).stat()
        if expected.size is None:
            return None if stat.S_ISDIR(found.st_mode) else f"{path} is no longer a folder"
        if not stat.S_ISREG(found.st_mode):
            return f"{path} is no longer a regular file"
        if found.st_size != expected.size:
            return (
                f"{path} has changed since it was registered: "
                f"it had {count(expected.size, 'byte')}, now {found.st_size:,}"
            )
        if within_64_bits(found.st_mtime_ns) == expected.mtime_ns:
            return None
        same = _read(path, threading.Event(), report).sha256 == expected.sha256
        return None if same else f"{path} has changed since it was registered: the checksum differs"
    except FileNotFoundError:
        return f"{path} is missing"
    except OSError as error:
        words = f"{path} cannot be read: {error.strerror}"
        if error.errno in _PASSING:
            raise VolumeError(words) from None
        return words
    except BadInput as changing:
        return str(changing).rstrip(".")


def unregistered(
    root: str, entries: Iterable[ManifestEntry], choice: FileChoice = USUAL
) -> list[str]:
    """The files below a folder that an update would add to `entries`, in natural order; none if it cannot be read."""
    if choice.listed:
        return []
    listing = FolderListing(root, choice)
    try:
        listing.read()
    except BadInput:
        return []
    known = {entry.path for entry in entries}
    unknown = [name for name in listing.names if name not in known]
    beside = set(file_choice.companions(choice, unknown, known))
    return [name for name in unknown if name not in beside]


def absolute(path: str) -> str:
    """Return an absolute path, as people know it: symlinks are kept unless ".." follows one."""
    given = Path(path)
    return str(given.resolve() if ".." in given.parts else given.absolute())


@dataclass(slots=True)
class _Work:
    """The shared state of the threads. Each takes the next slice of names until none is left or they are stopped."""

    root: str
    slices: Iterator[slice]
    names: Sequence[str]
    results: list[ManifestEntry | None]
    texts: FileTexts = field(default_factory=FileTexts)
    stop: threading.Event = field(default_factory=threading.Event)
    # Files done and bytes read since the last report; an exception is the last item.
    news: SimpleQueue[tuple[int, int] | BaseException] = field(default_factory=SimpleQueue)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def entries(self) -> tuple[ManifestEntry, ...]:
        return tuple(entry for entry in self.results if entry is not None)

    def run(self) -> None:
        try:
            while (part := self._next()) is not None and not self.stop.is_set():
                self._hash(part)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self.news.put(error)

    def _next(self) -> slice | None:
        with self.lock:
            return next(self.slices, None)

    def _hash(self, part: slice) -> None:
        total = 0
        for index, name in enumerate(self.names[part], part.start):
            if self.stop.is_set():
                return
            content = _content(self.root, name, self.stop, lambda read: self.news.put((0, read)))
            self.results[index] = content.entry(name)
            self.texts.add(index, name, content.head)
            total += content.size % _REPORT
        self.news.put((len(self.names[part]), total))


def _hash_all(root: str, names: Sequence[str], progress: Progress | None) -> _Work:
    starts = range(0, len(names), _FILES_AT_A_TIME)
    slices = (slice(start, min(start + _FILES_AT_A_TIME, len(names))) for start in starts)
    work = _Work(root, slices, names, [None] * len(names))
    # Daemon threads, so that one that hangs in a file system does not block the exit after Ctrl-C.
    for number in range(min(THREADS, len(starts))):
        threading.Thread(target=work.run, name=f"checksums-{number}", daemon=True).start()
    done = read = 0
    try:
        while done < len(names):
            news = work.news.get()
            if isinstance(news, BaseException):
                raise news
            done, read = done + news[0], read + news[1]
            if progress:
                progress(done, len(names), read)
    finally:
        work.stop.set()
    return work


def _content(
    root: str, name: str, stop: threading.Event, report: Callable[[int], None]
) -> _Content:
    path = f"{root.rstrip('/')}/{name}"
    try:
        return _read(path, stop, report)
    except OSError as error:
        raise unreadable(path, error) from error


@dataclass(frozen=True, slots=True)
class _Content:
    """The facts of a file; `head` is its contents if it is small."""

    size: int
    mtime_ns: int
    sha256: bytes
    head: bytes | None

    def entry(self, name: str) -> ManifestEntry:
        return ManifestEntry(name, self.size, within_64_bits(self.mtime_ns), self.sha256)


def _read(path: str, stop: threading.Event, report: Callable[[int], None]) -> _Content:
    """Read size, time and SHA-256 of a file that must not change meanwhile; `report` is called every 8 MiB."""
    # Non-blocking, since opening a named pipe that replaced the file would hang.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.fstat(descriptor)
        check_regular(path, before.st_mode)
        digest, read, head = _digest(descriptor, stop, report)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or read != before.st_size:
        raise BadInput(
            f"{path} changed while it was read: {size(before.st_size)} before, {size(after.st_size)} after.",
            hint="Try again when nothing is writing to it.",
        )
    return _Content(after.st_size, after.st_mtime_ns, digest, head)


def _digest(
    descriptor: int, stop: threading.Event, report: Callable[[int], None]
) -> tuple[bytes, int, bytes | None]:
    digest = hashlib.sha256()
    read, head = 0, b""
    while block := os.read(descriptor, _BLOCK):
        digest.update(block)
        head = block if not read else b""
        read += len(block)
        if stop.is_set():
            break
        if read % _REPORT == 0:
            report(_REPORT)
    return digest.digest(), read, head if read == len(head) <= TEXT_AT_MOST else None
