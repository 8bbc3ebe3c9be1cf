"""The folder of the image cache: locks, records, and images in use."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from orchestra.homefolder import make_own
from orchestra.runtimes.images.request import ImageError, ImageRequest

T = TypeVar("T")


def key_of(text: str) -> str:
    """Return the name in the cache for an address or path."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


class CacheFolder:
    """A cache folder, with the images that this process uses."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shared_locks: dict[str, int] = {}
        self._lock = threading.Lock()

    def create(self) -> None:
        make_own(self.path, 0o755)

    # Images in use

    def use(self, key: str) -> bool:
        """Protect an image from eviction until `release`; False while it is being fetched. May be repeated."""
        with self._lock:
            if key in self._shared_locks:
                return True
            try:
                how = fcntl.LOCK_SH | fcntl.LOCK_NB
                self._shared_locks[key] = _locked(self._lock_file(key), how)
            except OSError:
                return False
            return True

    def release(self, key: str) -> None:
        """Allow the eviction of an image."""
        with self._lock:
            descriptor = self._shared_locks.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)

    @property
    def in_use(self) -> frozenset[str]:
        return frozenset(self._shared_locks)

    def touch(self, key: str) -> None:
        """Record that an image is used now. The least recently used ones are evicted first."""
        with suppress(OSError):
            os.utime(self.record_file(key))

    # Exclusive work

    def find_or_make(
        self,
        key: str,
        request: ImageRequest,
        find: Callable[[], T | None],
        make: Callable[[], bool],
    ) -> T | None:
        """Return what `find` finds, in use from now on; make it first if it is missing. None if `make` returns False.

        Several processes may want the same image: one makes it, the others wait.
        """
        with self.translated_errors():
            self.create()
            while (found := self._find_and_use(key, find)) is None:
                with self.try_exclusive(key) as is_exclusive:
                    if is_exclusive and not make():
                        return None
                if not is_exclusive:
                    self.wait(request)
            return found

    def _find_and_use(self, key: str, find: Callable[[], T | None]) -> T | None:
        if self.use(key) and (found := find()):
            return found
        self.release(key)
        return None

    @contextmanager
    def exclusive(self, key: str, request: ImageRequest) -> Iterator[None]:
        """Hold an image's lock exclusively. Waits while another process holds it."""
        while True:
            with self.try_exclusive(key) as is_exclusive:
                if is_exclusive:
                    yield
                    return
            self.wait(request)

    @contextmanager
    def try_exclusive(self, key: str) -> Iterator[bool]:
        """Hold an image's lock exclusively, unless another process holds it: yields whether it is held."""
        try:
            descriptor = _locked(self._lock_file(key), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            os.close(descriptor)

    @staticmethod
    def wait(request: ImageRequest) -> None:
        request.say("another process prepares it")
        request.wait(0.5)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ImageError(f"the image cache {self.path}: {error.strerror or error}") from None

    # Files

    def _lock_file(self, key: str) -> Path:
        return self.path / f"{key}.lock"

    def record_file(self, key: str) -> Path:
        return self.path / f"{key}.json"

    @contextmanager
    def work_folder(self, key: str) -> Iterator[Path]:
        """A folder for work on an image, whose lock must be held exclusively. Remains of earlier work are removed."""
        for remains in self.path.glob(f"{key}.*.part"):
            remove_tree(remains)
        part = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".part", dir=self.path))
        try:
            yield part
        finally:
            remove_tree(part)


def _locked(path: Path, how: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_record(path: Path) -> dict[str, object]:
    """Return a record; empty if it is missing or damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(path: Path, record: Mapping[str, object]) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.new")
    temporary.touch(mode=0o644)  # not writable by others, whatever the umask is
    temporary.write_text(json.dumps(record), encoding="utf-8")
    temporary.replace(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder, even an unpacked image with folders that nobody may read or write."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        # From the top, so that each folder is readable before it is listed. Symlinks are not followed.
        for where, _, _ in os.walk(folder):
            for path in (Path(where), *Path(where).iterdir()):
                if path.is_dir() and not path.is_symlink():
                    with suppress(OSError):
                        path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
