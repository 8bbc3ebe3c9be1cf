"""Are a job's inputs what was registered? Asked before each start and after each end, in I/O threads."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from orchestra.domain.human import count, listed
from orchestra.domain.models.work import InputFile, SharedFiles, TaskSpec
from orchestra.files.manifest import check_file, unregistered
from orchestra.pilot.io_activity import IOActivity

SHARED_EVERY = 5.0
"""Seconds for which the files that all jobs of a task read are taken to be as they were."""
SHARE_OF_TIME = 50
"""A look that took long is repeated after this many times as long."""
VERIFIED_AT_MOST = 10_000
"""Files whose checksums are remembered: what was touched or copied, and is the same all the same."""
NAMED = 3
"""Files that a sentence names."""


@dataclass(slots=True)
class _Shared:
    """The last look at the files that all jobs of a task read.

    `let_go` is the highest number among the jobs that were here before it began: it counts for them, and for none that
    was let go later.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    let_go: int = -1
    until: float = 0.0
    trouble: str | None = None


class InputChecker:
    """Looks at files, and remembers how those looked that were found right: a checksum is taken once."""

    def __init__(self, io_activity: IOActivity | None = None) -> None:
        self._activity = io_activity or IOActivity()
        self._verified: dict[str, tuple[InputFile, int, int, int]] = {}
        self._shared: dict[int, _Shared] = {}
        self._lock = threading.Lock()

    def trouble(self, task: TaskSpec, config: InputFile, let_go: int = 0) -> str | None:
        """Give what is wrong with a job's config or with the files of its task, in one sentence; None if nothing is.

        The files of its task are looked at anew where the last look began before the job was let go (`let_go`).
        """
        if trouble := self._remembered(config):
            return trouble
        shared = self._of(task)
        with shared.lock:
            if let_go > shared.let_go or time.monotonic() >= shared.until:
                self._look(shared, task, let_go)
            return shared.trouble

    def notes(self, task: TaskSpec, configs: Sequence[InputFile]) -> list[str | None]:
        """Say of jobs that have ended what is no longer as it was registered; None for each that had nothing.

        One look at the files of their task serves all of them, and the starts that come next.
        """
        shared = self._of(task)
        with shared.lock:
            self._look(shared, task, shared.let_go)
            trouble = shared.trouble
        strangers = None if trouble else self._strangers(task)
        return [
            _changed(found) if (found := trouble or self._remembered(config)) else strangers
            for config in configs
        ]

    def keep(self, tasks: Collection[int]) -> None:
        """Forget the looks at other tasks."""
        with self._lock:
            for task in self._shared.keys() - set(tasks):
                del self._shared[task]
                self._activity.forget(task)

    def _of(self, task: TaskSpec) -> _Shared:
        with self._lock:
            return self._shared.setdefault(task.id, _Shared())

    def _look(self, shared: _Shared, task: TaskSpec, let_go: int) -> None:
        before = time.monotonic()
        found = (self._remembered(file) for file in task.shared_files)
        shared.trouble = next(filter(None, found), None)
        after = time.monotonic()
        shared.until = after + max(SHARED_EVERY, SHARE_OF_TIME * (after - before))
        shared.let_go = max(shared.let_go, let_go)

    def _strangers(self, task: TaskSpec) -> str | None:
        """Say which files have come into the folders of a task's data sets."""
        return next(filter(None, map(self._come_into, task.shared)), None)

    def _come_into(self, files: SharedFiles) -> str | None:
        if not files.is_folder or not files.are_files:
            return None
        self._activity.at(files.root)
        found = unregistered(files.root, files.entries)
        if not found:
            return None
        were = "that was" if len(found) == 1 else "that were"
        return f"{files.root} has {count(len(found), 'file')} {were} not registered: {listed(found, most=NAMED)}"

    def _remembered(self, file: InputFile) -> str | None:
        self._activity.at(file.path)
        try:
            facts = os.stat(file.path)  # noqa: PTH116 - twice for each job: pathlib takes longer than the call
        except OSError:
            return check_file(file.entry, file.path)
        as_registered = (facts.st_size, facts.st_mtime_ns) == (file.entry.size, file.entry.mtime_ns)
        if as_registered and stat.S_ISREG(facts.st_mode):
            return None
        looks = (file, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        if self._verified.get(file.path) == looks:
            return None
        if facts.st_size == file.entry.size:
            self._activity.read(0)
        trouble = check_file(file.entry, file.path, self._activity.read)
        if trouble is None:
            self._note(file.path, looks)
        return trouble

    def _note(self, path: str, looks: tuple[InputFile, int, int, int]) -> None:
        """Remember a file that was found right; what was noted first is forgotten first."""
        with self._lock:
            self._verified.pop(path, None)
            while len(self._verified) >= VERIFIED_AT_MOST:
                del self._verified[next(iter(self._verified))]
            self._verified[path] = looks


def _changed(trouble: str) -> str:
    return f"inputs changed while it ran: {trouble}"
