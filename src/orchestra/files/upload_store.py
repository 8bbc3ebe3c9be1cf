"""The folder of a server for uploaded files. Only the server's account writes there, and everybody can read.

    USER/.content/SHA256    a content, once for each user; SHA256.part while it arrives
    USER/LABEL/NAME/...     the files of a version of a data set: hard links to contents

NAME follows from names and contents, and what lies there never changes, so a task reads its version in peace. The
number of a content's links tells whether a version has it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

from orchestra.domain import human, manifests, uploads
from orchestra.domain.errors import BadInput, Refused, VolumeError
from orchestra.domain.models.datasets import Manifest
from orchestra.domain.uploads import Content, Part

UNUSED_FOR = 86_400.0
"""Seconds after which what no data set has is removed."""
_COUNT_AGAIN = 60.0
"""Seconds after which the size of a user's files is counted again: other servers may have added some."""
_TOUCH_AGAIN = 3600.0
_THREADS = 32
"""Threads that wait for the disk: a file system writes what waits together in one step."""
_BLOCK = 1 << 20
_NEW, _OLD = ".new-", ".old-"
_CONTENT, _PART, _TEMPORARY = ".content", ".part", ".tmp-"
_FOLDER, _FILE, _PROGRAM = 0o755, 0o444, 0o555


@dataclass(frozen=True, slots=True)
class Placed:
    """A folder of uploaded files, with the times of the files in nanoseconds."""

    folder: str
    mtimes_ns: tuple[int, ...]


class UploadStore:
    """The uploads below a folder. `limit`: bytes of contents that each user may have; 0 for no limit."""

    def __init__(self, root: str, limit: int) -> None:
        self.root = root
        self._limit = limit
        self._sizes: dict[str, tuple[float, int]] = {}

    def check(self) -> None:
        """Refuse a folder that cannot be used.

        Raises:
            VolumeError: it does not exist, is not writable, or cannot have hard links.
        """
        trial = Path(self.root, f".trial-{token_hex(4)}")
        second = trial.with_name(f"{trial.name}-2")
        try:
            trial.touch()
            second.hardlink_to(trial)
        except OSError as error:
            raise VolumeError(
                f"the folder of uploads, {self.root}, cannot be used: {_reason(error)}.",
                hint="It must exist, be writable, and be on a file system with hard links.",
            ) from None
        finally:
            for path in (trial, second):
                with suppress(OSError):
                    path.unlink()

    def missing(self, user: str, contents: Sequence[Content]) -> tuple[Content, ...]:
        """Return the contents that have not arrived, with the bytes of each that have.

        Raises:
            BadInput: what was sent is no content.
            Refused: with them, the user would have more than the limit.
        """
        uploads.check_contents(contents)
        now = time.time()
        found = []
        for each in dict.fromkeys(contents):
            path = self._content(user, each.sha256)
            if not _has(path, each.size, now):
                found.append(replace(each, have=min(_size(f"{path}{_PART}"), each.size)))
        self._check_room(user, sum(each.size - each.have for each in found), again=True)
        return tuple(found)

    def write(self, user: str, parts: Sequence[Part], data: memoryview) -> None:
        """Write parts of contents, and check each content that is complete with them.

        Raises:
            BadInput: the parts are not those that were sent, or a content is not what its checksum says.
            Refused: the user would have more than the limit; or what comes before a part has not arrived.
            VolumeError: they cannot be written.
        """
        uploads.check_parts(parts, len(data))
        self._check_room(user, len(data))
        at, whole = 0, []
        with _explained():
            self._make_home(user)
            try:
                for part in parts:
                    piece, at = data[at : at + part.length], at + part.length
                    if part.is_all:
                        whole.append((self._write_whole(user, part, piece), part))
                    else:
                        self._write_part(user, part, piece)
                # All are written before the first is flushed: one journal entry of the file system holds many.
                _each(_flush, [path for path, _ in whole])
                for path, part in whole:
                    os.rename(path, self._content(user, part.sha256))  # noqa: PTH104 - of thousands
            finally:
                for path, _ in whole:
                    with suppress(FileNotFoundError):
                        os.unlink(path)  # noqa: PTH108
        counted, size = self._sizes[user]
        self._sizes[user] = counted, size + len(data)

    def place(
        self, user: str, label: str, manifest: Manifest, executable: frozenset[int]
    ) -> Placed | tuple[Content, ...]:
        """Make a folder of contents; or return the contents that are missing.

        Raises:
            BadInput: the files' names cannot be used.
            VolumeError: it cannot be made.
        """
        manifests.check(manifest)
        if missing := self._absent(user, manifest):
            return missing
        parent = self._home(user) / label
        place = parent / uploads.folder_name(manifest, executable)
        with _explained():
            _make_folder(parent)
            with self._locked(user):
                if (times := _times(place, manifest)) is not None:
                    os.utime(place)
                    return Placed(str(place), times)
            new = parent / f"{_NEW}{token_hex(4)}"
            old = parent / f"{_OLD}{token_hex(4)}"
            try:
                self._link(user, new, manifest, executable)
                with self._locked(user):
                    if _times(place, manifest) is None:
                        with suppress(FileNotFoundError):
                            place.rename(old)  # it was damaged
                        new.rename(place)
                        _flush(str(parent))
                times = _times(place, manifest)
                assert times is not None
                return Placed(str(place), times)
            finally:
                for path in (new, old):
                    shutil.rmtree(path, ignore_errors=True)

    def remove(self, user: str, label: str, used: Collection[str]) -> int:
        """Remove the folders of a label that are not among the roots in use; return how many there were.

        Raises:
            VolumeError: something cannot be removed.
        """
        parent = Path(self.root, user, label)
        if not parent.is_dir():
            return 0
        with _explained():
            gone = self._remove(user, parent, used, older_than=None)
            with suppress(OSError):
                parent.rmdir()
            return gone

    def sweep(self, used: Collection[str], *, unused_for: float = UNUSED_FOR) -> None:
        """Remove what no data set has, and what has arrived in part, once it is a day old."""
        limit = time.time() - unused_for
        for user in _folders(Path(self.root)):
            with suppress(OSError):
                for label in _folders(user):
                    self._remove(user.name, label, used, older_than=limit)
                    _remove_leftovers(label, limit)
                _each(os.unlink, list(_unlinked(user / _CONTENT, limit)))

    # Contents

    def _home(self, user: str) -> Path:
        home = Path(self.root, user)
        with _explained():
            _make_folder(home)
        return home

    def _content(self, user: str, sha256: bytes) -> str:
        return f"{self.root}/{user}/{_CONTENT}/{sha256.hex()}"

    def _make_home(self, user: str) -> None:
        # One folder for all contents: file systems find room for files of one folder faster than for those of many.
        (self._home(user) / _CONTENT).mkdir(mode=0o700, exist_ok=True)

    def _write_whole(self, user: str, part: Part, data: memoryview) -> str:
        if hashlib.sha256(data).digest() != part.sha256:
            raise _changed()
        path = f"{self._content(user, part.sha256)}{_TEMPORARY}{token_hex(4)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE)
        try:
            os.fchmod(descriptor, _FILE)
            _write(descriptor, data, 0)
        except BaseException:
            os.unlink(path)  # noqa: PTH108
            raise
        finally:
            os.close(descriptor)
        return path

    def _write_part(self, user: str, part: Part, data: memoryview) -> None:
        path = self._content(user, part.sha256)
        begun = f"{path}{_PART}"
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if part.offset == 0 else 0)
        try:
            descriptor = os.open(begun, flags, 0o600)
        except FileNotFoundError:
            raise _gap() from None
        try:
            if os.fstat(descriptor).st_size < part.offset:
                raise _gap()
            _write(descriptor, data, part.offset)
            if not part.is_last:
                return
            os.ftruncate(descriptor, part.size)
            if _digest(descriptor) != part.sha256:
                os.unlink(begun)  # noqa: PTH108
                raise _changed()
            os.fchmod(descriptor, _FILE)
            os.fsync(descriptor)
            os.rename(begun, path)  # noqa: PTH104
        finally:
            os.close(descriptor)

    def _absent(self, user: str, manifest: Manifest) -> tuple[Content, ...]:
        now = time.time()
        return tuple(
            each
            for each in uploads.contents(manifest)
            if not _has(self._content(user, each.sha256), each.size, now)
        )

    def _check_room(self, user: str, more: int, *, again: bool = False) -> None:
        if not self._limit:
            self._sizes.setdefault(user, (0.0, 0))
            return
        counted, size = self._sizes.get(user, (0.0, 0))
        if again or time.time() - counted > _COUNT_AGAIN:
            size = self._size(user)
            self._sizes[user] = time.time(), size
        if more and size + more > self._limit:
            raise Refused(
                f"your uploads on the server would be {human.size(size + more)}; "
                f"at most {human.size(self._limit)} are allowed.",
                hint="Deleting a data set that was uploaded removes its files, unless a task needs them.",
            )

    def _size(self, user: str) -> int:
        return sum(_stat(entry).st_size for entry in _entries(Path(self.root, user, _CONTENT)))

    # Folders

    def _link(
        self, user: str, folder: Path, manifest: Manifest, executable: frozenset[int]
    ) -> None:
        _make_folder(folder)
        known = {str(folder)}
        for index, entry in enumerate(manifest.entries):
            assert entry.sha256 is not None
            path, content = f"{folder}/{entry.path}", self._content(user, entry.sha256)
            parent = path.rpartition("/")[0]
            if parent not in known:
                known.update(_make_folders(folder, parent))
            if index in executable:
                os.chmod(content, _PROGRAM)  # noqa: PTH101 - of thousands
            try:
                os.link(content, path)
            except OSError as error:
                if error.errno != errno.EMLINK:
                    raise
                _renew(content)  # the file system allows no more links, such as 65,000
                os.link(content, path)
        _each(_flush, list(known))

    @contextmanager
    def _locked(self, user: str) -> Iterator[None]:
        """Keep other requests and servers from adding and removing folders of this user."""
        descriptor = os.open(
            self._home(user) / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _remove(
        self, user: str, label: Path, used: Collection[str], *, older_than: float | None
    ) -> int:
        """Remove the folders that are not in use and, with `older_than`, have not been asked for since that time."""
        in_use = {str(each) for root in used for each in (Path(root), *Path(root).parents)}
        gone: list[Path] = []
        with self._locked(user):
            for place in _folders(label):
                if str(place) in in_use or (older_than and place.stat().st_ctime > older_than):
                    continue
                gone.append(label / f"{_OLD}{token_hex(4)}")
                place.rename(gone[-1])
        inodes: set[int] = set()
        for place in gone:
            inodes.update(_inodes(place))
            shutil.rmtree(place)
        if older_than is None and inodes:
            contents = _entries(Path(self.root, user, _CONTENT))
            found = [each for each in contents if each.inode() in inodes]
            _each(os.unlink, [each.path for each in found if _stat(each).st_nlink == 1])
        self._sizes.pop(user, None)
        return len(gone)


def _has(path: str, size: int, now: float) -> bool:
    """Return whether a content has arrived; if so, it is kept for another day."""
    try:
        found = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - of thousands
        if found.st_size != size:
            return False
        if now - found.st_ctime > _TOUCH_AGAIN:
            os.utime(path, ns=(time.time_ns(), found.st_mtime_ns))
    except FileNotFoundError:
        return False
    return True


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except FileNotFoundError:
        return 0


def _times(place: Path, manifest: Manifest) -> tuple[int, ...] | None:
    """Return the times of a folder's files; None if one of them is not there."""
    times = []
    try:
        for entry in manifest.entries:
            found = os.stat(f"{place}/{entry.path}", follow_symlinks=False)  # noqa: PTH116
            if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
                return None
            times.append(found.st_mtime_ns)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return tuple(times)


def _make_folder(path: Path) -> None:
    """Make a folder that every account can read, whatever the umask."""
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(_FOLDER)


def _make_folders(root: Path, path: str) -> list[str]:
    made = [Path(path), *Path(path).parents]
    made = [each for each in made if each.is_relative_to(root) and each != root]
    for each in reversed(made):
        _make_folder(each)
    return [str(each) for each in made]


def _renew(content: str) -> None:
    """Replace a content by a copy of itself, which has no links yet."""
    copy = f"{content}{_TEMPORARY}{token_hex(4)}"
    shutil.copy2(content, copy)
    os.rename(copy, content)  # noqa: PTH104


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _digest(descriptor: int) -> bytes:
    digest, at = hashlib.sha256(), 0
    while block := os.pread(descriptor, _BLOCK, at):
        digest.update(block)
        at += len(block)
    return digest.digest()


def _each(work: Callable[[str], None], paths: Sequence[str]) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(work, paths):
            pass


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder; nothing if there is none."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _folders(parent: Path) -> list[Path]:
    """Return the folders in a folder, but for hidden ones."""
    return [
        Path(entry.path)
        for entry in _entries(parent)
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
    ]


def _inodes(place: Path) -> Iterator[int]:
    for folder, _, names in os.walk(place):
        for name in names:
            yield os.lstat(f"{folder}/{name}").st_ino


def _remove_leftovers(label: Path, limit: float) -> None:
    """Remove what a server that was killed has left while it made or removed folders."""
    for entry in _entries(label):
        if entry.name.startswith((_NEW, _OLD)) and _stat(entry).st_ctime < limit:
            shutil.rmtree(entry.path, ignore_errors=True)


def _unlinked(contents: Path, limit: float) -> Iterator[str]:
    """Yield the contents that no folder has, and have not been asked for since a time."""
    for entry in _entries(contents):
        found = _stat(entry)
        if found.st_nlink == 1 and found.st_ctime < limit:
            yield entry.path


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    return entry.stat(follow_symlinks=False)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EEXIST):
            raise BadInput(
                f"these files cannot lie in one folder of the server: {_reason(error)}."
            ) from None
        raise VolumeError(f"the server cannot keep the files: {_reason(error)}.") from None


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _changed() -> BadInput:
    return BadInput(
        "a file that was sent is not what its checksum says.",
        hint="Try again when nothing is writing to it.",
    )


def _gap() -> Refused:
    return Refused("what comes before this part of a file has not arrived.", hint="Try again.")
