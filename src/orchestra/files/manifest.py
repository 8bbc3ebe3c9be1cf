"""What the files of a data set are: their names in order, sizes, times and checksums.

A folder gives its regular files, those of its subfolders too, in natural order (`job.2` before `job.10`). Links are
followed, to files and to folders. Hidden files and folders (a dot in front: editors, version control and NFS put them
there) are left out and counted, and so are the folders below in which tasks have written their outputs; anything else
that cannot be registered is refused by name.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

from orchestra.domain.errors import BadInput, VolumeError
from orchestra.domain.human import count, size
from orchestra.domain.manifests import TEXT_AT_MOST
from orchestra.domain.models.datasets import Manifest, ManifestEntry
from orchestra.domain.models.jobs import ATTEMPTS
from orchestra.domain.naming import natural_key
from orchestra.domain.storable import within_64_bits
from orchestra.files import fs_health
from orchestra.files.file_texts import FileTexts

Progress = Callable[[int, int, int], None]
"""Called in the caller's thread with files done, files in all, bytes read."""

# More than cores: on a network file system it is the waiting that takes the time.
THREADS = 8
_FILES_AT_A_TIME = 64
_CACHE = "__pycache__"
# Trouble of the file system, which says nothing of the file.
_PASSING = {
    errno.EIO,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
}
_BLOCK = 1 << 20
# After so many bytes of one file a thread says how far it is.
_REPORT = 8 * _BLOCK


def scan(path: str | os.PathLike[str], progress: Progress | None = None) -> Manifest:
    """Take names, sizes, times and SHA-256 of a file or of a folder's files.

    Ctrl-C, and whatever `progress` raises, ends it at once.

    Raises:
        BadInput: there is nothing there, or no file in the folder; a name is no valid text; something is no regular
            file, cannot be read, or changed while it was read.
    """
    root = _absolute(os.fspath(path))
    _check_text(root)
    fs_health.check(path)
    try:
        mode = Path(root).stat().st_mode
    except OSError as error:
        raise _unreadable(root, error) from error
    if not stat.S_ISDIR(mode):
        _check_regular(root, mode)
        work = _hash_all(str(Path(root).parent), [Path(root).name], progress)
        return Manifest(root, False, work.entries, 0, (), *work.texts.kept())
    listing = _Listing(root)
    listing.walk("", ())
    if not listing.names:
        raise BadInput(f"the folder {root} has no files.", hint=listing.left_out())
    listing.names.sort(key=natural_key)
    work = _hash_all(root, listing.names, progress)
    outputs = tuple(sorted(listing.outputs))
    return Manifest(root, True, work.entries, listing.hidden, outputs, *work.texts.kept())


def check_file(
    expected: ManifestEntry, path: str, report: Callable[[int], None] = lambda _: None
) -> str | None:
    """Whether a file is what was registered: None if so, else the reason in one sentence without a full stop.

    Size and time are compared; only where the time alone differs, the checksum is taken. An entry without a size is
    a folder (an older task's output) and has to be there. `report` hears of every few bytes of a checksum.

    Raises:
        VolumeError: its file system is in trouble, so that nothing is known of the file.
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


def unregistered(root: str, entries: Iterable[ManifestEntry]) -> list[str]:
    """Give the files below a folder that are not among `entries`, in natural order; none where it cannot be read.

    What Python puts beside a program (`__pycache__`) says nothing.
    """
    listing = _Listing(root)
    try:
        listing.walk("", ())
    except BadInput:
        return []
    strangers = set(listing.names).difference(entry.path for entry in entries)
    found = (name for name in strangers if _CACHE not in name.split("/"))
    return sorted(found, key=natural_key)


# Names


class _Listing:
    """The files below a folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.names: list[str] = []
        self.hidden = 0
        self.outputs: list[str] = []

    def walk(self, below: str, above: tuple[tuple[int, int], ...]) -> None:
        """Add the files of the folder `below`; `above` names the folders that it is in."""
        folder = str(Path(self.root, below))
        try:
            itself = Path(folder).stat()
            found = list(os.scandir(folder))
        except OSError as error:
            raise _unreadable(folder, error) from error
        me = (itself.st_dev, itself.st_ino)
        if me in above:
            raise BadInput(f"{folder} is a link to a folder that it is in itself.")
        if below and any(entry.name == ATTEMPTS for entry in found):
            self.outputs.append(below)
            return
        for entry in found:
            if entry.name.startswith("."):
                self.hidden += 1
            else:
                self._add(entry, f"{below}/{entry.name}" if below else entry.name, (*above, me))

    def left_out(self) -> str | None:
        """Say what was left out, if anything."""
        if self.outputs:
            return f"What tasks have written is left out: {self.outputs[0]}. To register it, name that folder."
        return f"It has {count(self.hidden, 'hidden one')}, left out." if self.hidden else None

    def _add(self, entry: os.DirEntry[str], name: str, above: tuple[tuple[int, int], ...]) -> None:
        _check_text(entry.path)
        try:
            if entry.is_file():
                self.names.append(name)
            elif entry.is_dir():
                self.walk(name, above)
            else:
                _check_regular(entry.path, entry.stat().st_mode)
        except OSError as error:
            raise _unreadable(entry.path, error) from error


def _absolute(path: str) -> str:
    # "a/.." is not "." where a is a link; everywhere else the path stays the one that people know.
    given = Path(path)
    return str(given.resolve() if ".." in given.parts else given.absolute())


def _check_text(path: str) -> None:
    # isprintable is false for what breaks lines or steers terminals, and for bytes that are no UTF-8.
    if path.isprintable():
        return
    if any("\ud800" <= char <= "\udfff" for char in path):
        name = _bytes_of(path)
        _check_encoding(name)
        raise BadInput(f"the name {name!r} is not valid UTF-8 text.", hint="Rename it.")
    if any(_breaks(char) for char in path):
        raise BadInput(
            f"the name {path!r} has a line break or another control character.", hint="Rename it."
        )


def _check_encoding(name: bytes) -> None:
    """Refuse a name that is UTF-8 and was not read as such; `maestro` sees to that, other programs may not."""
    try:
        name.decode()
    except UnicodeDecodeError:
        return
    raise BadInput(
        f"the name {name!r} is UTF-8, and this Python reads names as {sys.getfilesystemencoding()}.",
        hint="Start it with PYTHONUTF8=1, or in a locale such as C.UTF-8.",
    )


def _bytes_of(path: str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:  # half a character that came from no file name
        return path.encode("utf-8", "surrogatepass")


def _breaks(char: str) -> bool:
    return ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or char in "\u2028\u2029"


def _check_regular(path: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise BadInput(f"{path} is neither a file nor a folder.")


def _unreadable(path: str, error: OSError) -> BadInput:
    if isinstance(error, FileNotFoundError):
        gone = Path(path).is_symlink()
        return BadInput(
            f"{path} is a link to nothing." if gone else f"there is no file or folder {path}."
        )
    return BadInput(f"{path} cannot be read: {error.strerror}.")


# Checksums


@dataclass(slots=True)
class _Work:
    """What the threads share; each takes the next slice of names until none is left or all are told to stop."""

    root: str
    slices: Iterator[slice]
    names: Sequence[str]
    results: list[ManifestEntry | None]
    texts: FileTexts = field(default_factory=FileTexts)
    stop: threading.Event = field(default_factory=threading.Event)
    # Files done and bytes read since the last word; an exception is the last one.
    news: SimpleQueue[tuple[int, int] | BaseException] = field(default_factory=SimpleQueue)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def entries(self) -> tuple[ManifestEntry, ...]:
        return tuple(entry for entry in self.results if entry is not None)

    def run(self) -> None:
        try:
            while (part := self._next()) is not None and not self.stop.is_set():
                self._hash(part)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller's thread raises it
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
    # Daemons: nobody waits for a thread that hangs in a file system when Ctrl-C was pressed.
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
        raise _unreadable(path, error) from error


@dataclass(frozen=True, slots=True)
class _Content:
    """What a file is; `head` is all of it where it is small."""

    size: int
    mtime_ns: int
    sha256: bytes
    head: bytes | None

    def entry(self, name: str) -> ManifestEntry:
        return ManifestEntry(name, self.size, within_64_bits(self.mtime_ns), self.sha256)


def _read(path: str, stop: threading.Event, report: Callable[[int], None]) -> _Content:
    """Size, time and SHA-256 of a file that stays the same meanwhile; `report` hears of each 32 MiB."""
    # Not blocking: a named pipe that has taken the file's place would never open.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        before = os.fstat(descriptor)
        _check_regular(path, before.st_mode)
        digest, read, head = _digest(descriptor, stop, report)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    if not same or read != before.st_size:
        raise BadInput(
            f"{path} changed while it was read: {size(before.st_size)} before, {size(after.st_size)} after.",
            hint="Try again when nothing writes to it any more.",
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
