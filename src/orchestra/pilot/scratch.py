"""`$ORCHESTRA_SCRATCH`: a folder on the node's own disk for each attempt, lent to it and taken back.

    ROOT/CACHEDIR.TAG    the mark of a root (scratch_roots.py)
    ROOT/1f0e2d3c-17     the folder of an attempt: the agent that made it, and a number

Creating and removing a folder takes longer than anything else that is done on the local disk for a job, so one that its
attempt has left as it was is lent again. The methods may be called in any thread.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from uuid import UUID

from orchestra.files import tree_removal
from orchestra.pilot import scratch_roots
from orchestra.pilot.allocation import allocation_error

NAME = re.compile(r"[0-9a-f]{8}-[0-9]+")
TICK_NS = 50_000_000
"""How exact the times of a file system are at least. A folder that is lent within this time of its last change may be
changed again without a new time."""


class NoScratch(OSError):
    """A scratch folder cannot be made; the argument is a sentence that says why."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(slots=True)
class Scratch:
    """The scratch folders of one agent below `root`, and those that earlier agents have left in it or elsewhere.

    Args:
        former: further roots, which the pilot has used before.
        idle: folders to be lent, each with the time of its last change in nanoseconds.
        lent: the same of each folder that is lent, and whether that time says for certain that it is untouched.
        left: folders to be removed.
        failure: why none could be lent, until the agent has taken note of it.
    """

    root: Path
    agent: UUID
    former: tuple[str, ...] = ()
    idle: deque[tuple[str, int]] = field(default_factory=deque)
    lent: dict[str, tuple[int, bool]] = field(default_factory=dict)
    left: deque[str] = field(default_factory=deque)
    failure: OSError | None = None
    _removing: Lock = field(default_factory=Lock)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def _own(self) -> str:
        """The beginning of the folders of this agent."""
        return f"{self.root}/{self.agent.hex[:8]}-"

    def lend(self) -> str:
        """Return an empty folder that only this account can access.

        Raises:
            NoScratch: there is none.
        """
        try:
            path, changed = self.idle.pop()
        except IndexError:
            path, changed = self._new()
        self.lent[path] = changed, time.time_ns() > changed + TICK_NS
        return path

    def _new(self) -> tuple[str, int]:
        path = f"{self._own}{next(self._numbers)}"
        try:
            try:
                os.mkdir(path, 0o700)  # noqa: PTH102 - as os.lstat below, in half the time of pathlib
            except FileNotFoundError:
                scratch_roots.make(self.root)
                os.mkdir(path, 0o700)  # noqa: PTH102
            return path, os.lstat(path).st_ctime_ns
        except OSError as error:
            self.failure = error
            raise NoScratch(
                f"no scratch folder can be made in {self.root}: {words_of(error)}"
            ) from error

    def take_back(self, path: str) -> None:
        """Take back the folder of an attempt that has no process any more: it is lent again, or removed."""
        changed, certain = self.lent.pop(path, (None, False))
        if changed is None and path.startswith(self._own):
            return  # taken back before
        with suppress(OSError):
            # The time of the last change covers its entries, permissions and attributes.
            if os.lstat(path).st_ctime_ns == changed and (certain or not os.listdir(path)):
                self.idle.append((path, changed))
                return
        self.left.append(path)

    # In I/O threads

    def trim(self) -> None:
        """Remove the folders that are not lent."""
        with suppress(IndexError):
            while True:
                self.left.append(self.idle.pop()[0])

    def remove_left(self) -> list[str]:
        """Remove the folders that attempts have left; return a sentence for each that cannot be removed."""
        troubles = []
        with self._removing, suppress(IndexError):
            while True:
                path = self.left.popleft()
                try:
                    os.rmdir(path)  # noqa: PTH106
                except OSError:
                    troubles += self._remove(path)
        return troubles

    def _remove(self, path: str) -> list[str]:
        """Remove a folder with all that is in it, if it is in one of the roots."""
        root, name = os.path.split(path)
        if root not in (str(self.root), *self.former) or not NAME.fullmatch(name):
            return [f"{path} is not a scratch folder of this pilot"]
        try:
            parent = scratch_roots.open_marked(root)
        except OSError as error:
            return [] if isinstance(error, FileNotFoundError) else [f"{path}: {words_of(error)}"]
        found = tree_removal.Removal()
        try:
            if _is_folder(name, parent):
                tree_removal.remove(name, parent, path, found)
            else:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=parent)  # a job has put it there
        except OSError as error:
            found.note(path, error)
        finally:
            os.close(parent)
        return [f"{example}: {why.lower()}" for why, example in found.reasons.items()]

    def foreign(self) -> list[str]:
        """Return the folders of earlier agents, in all roots."""
        own, found = self.agent.hex[:8], []
        for root in (str(self.root), *self.former):
            with suppress(OSError):
                folder = scratch_roots.open_marked(root)
                try:
                    names = os.listdir(folder)
                finally:
                    os.close(folder)
                found += [f"{root}/{n}" for n in names if NAME.fullmatch(n) and n[:8] != own]
        return found

    def error(self) -> OSError | None:
        """Return why jobs cannot write to scratch folders; None if they can. Creates the root if there is none."""
        try:
            scratch_roots.make(self.root)
        except OSError as error:
            return error
        return allocation_error(self.root)

    def room(self, promised: Mapping[str, int]) -> int:
        """Return the bytes that jobs may use: what is free, and what those to which room is promised use of it.

        Args:
            promised: bytes for the folders of running attempts.
        """
        facts = os.statvfs(self.root)
        free = facts.f_bavail * facts.f_frsize
        return free + sum(min(bytes_in(path), size) for path, size in promised.items())


def bytes_in(folder: str) -> int:
    """Return the disk space of the files below a folder, on its file system; what cannot be read counts as empty."""
    try:
        device = os.lstat(folder).st_dev
    except OSError:
        return 0
    total, folders = 0, [folder]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                if facts.st_dev == device:
                    total += facts.st_blocks * 512
                    if stat.S_ISDIR(facts.st_mode):
                        folders.append(entry.path)
    return total


def _is_folder(name: str, parent: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return True  # and it is gone


def words_of(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
