"""Whether a job's inputs are what was registered. Checked before each start and after each end, in I/O threads."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from orchestra.domain.human import count, listed
from orchestra.domain.models.work import InputFile, Revision, SharedFiles, TaskSpec
from orchestra.files.manifest import check_file, unregistered
from orchestra.pilot.io_activity import IOActivity

SHARED_EVERY = 5.0
"""Seconds for which the files that all jobs of a task read count as unchanged."""
PAUSE_FACTOR = 50
"""A check that took long is repeated after this many times its duration."""
MAX_VERIFIED = 10_000
"""Files whose checksums are remembered: those that were touched or copied and have the same content."""
MAX_NAMED = 3
"""Files that a sentence names."""


@dataclass(slots=True)
class _Shared:
    """The last check of the files that all jobs of a revision read.

    Args:
        let_go: the highest release number of the jobs that were here before it began. The check counts for them, and
            not for jobs released later.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    let_go: int = -1
    until: float = 0.0
    trouble: str | None = None


class InputChecker:
    """Checks files, and remembers the metadata of those that are unchanged, so that a checksum is computed once."""

    def __init__(self, io_activity: IOActivity | None = None) -> None:
        self._activity = io_activity or IOActivity()
        self._verified: dict[str, tuple[InputFile, int, int, int]] = {}
        self._shared: dict[Revision, _Shared] = {}
        self._lock = threading.Lock()

    def trouble(self, task: TaskSpec, config: InputFile, let_go: int = 0) -> str | None:
        """Return what is wrong with a job's config or the files of its task, in one sentence; None if nothing is.

        The files of its task are checked again if the last check began before the job was released (`let_go`).
        """
        if trouble := self._check(config):
            return trouble
        shared = self._shared_of(task)
        with shared.lock:
            if let_go > shared.let_go or time.monotonic() >= shared.until:
                self._check_shared(shared, task, let_go)
            return shared.trouble

    def notes(self, task: TaskSpec, configs: Sequence[InputFile]) -> list[str | None]:
        """Return what has changed since registration for each job that has ended; None if nothing has.

        One check of the files of their task serves all of them, and the starts that come next.
        """
        shared = self._shared_of(task)
        with shared.lock:
            self._check_shared(shared, task, shared.let_go)
            trouble = shared.trouble
        added = None if trouble else self._unregistered(task)
        return [
            _changed(found) if (found := trouble or self._check(config)) else added
            for config in configs
        ]

    def keep(self, tasks: Collection[int]) -> None:
        """Forget the checks of other tasks."""
        with self._lock:
            for revision in [each for each in self._shared if each.task_id not in tasks]:
                del self._shared[revision]
                self._activity.forget(revision.task_id)

    def _shared_of(self, task: TaskSpec) -> _Shared:
        with self._lock:
            return self._shared.setdefault(task.key, _Shared())

    def _check_shared(self, shared: _Shared, task: TaskSpec, let_go: int) -> None:
        before = time.monotonic()
        found = (self._check(file) for file in task.shared_files)
        shared.trouble = next(filter(None, found), None)
        after = time.monotonic()
        shared.until = after + max(SHARED_EVERY, PAUSE_FACTOR * (after - before))
        shared.let_go = max(shared.let_go, let_go)

    def _unregistered(self, task: TaskSpec) -> str | None:
        """Return a sentence on files that were added to the folders of a task's data sets."""
        return next(filter(None, map(self._added_to, task.shared)), None)

    def _added_to(self, files: SharedFiles) -> str | None:
        if not files.is_folder or not files.are_files:
            return None
        self._activity.access(files.root)
        found = unregistered(files.root, files.entries, files.choice)
        if not found:
            return None
        were = "that was" if len(found) == 1 else "that were"
        return f"{files.root} has {count(len(found), 'file')} {were} not registered: {listed(found, most=MAX_NAMED)}"

    def _check(self, file: InputFile) -> str | None:
        self._activity.access(file.path)
        try:
            facts = os.stat(file.path)  # noqa: PTH116 - twice for each job: pathlib takes longer than the call
        except OSError:
            return check_file(file.entry, file.path)
        as_registered = (facts.st_size, facts.st_mtime_ns) == (file.entry.size, file.entry.mtime_ns)
        if as_registered and stat.S_ISREG(facts.st_mode):
            return None
        metadata = (file, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        if self._verified.get(file.path) == metadata:
            return None
        if facts.st_size == file.entry.size:
            self._activity.read(0)
        trouble = check_file(file.entry, file.path, self._activity.read)
        if trouble is None:
            self._remember(file.path, metadata)
        return trouble

    def _remember(self, path: str, metadata: tuple[InputFile, int, int, int]) -> None:
        """Remember a file that is unchanged; the oldest entry is forgotten first."""
        with self._lock:
            self._verified.pop(path, None)
            while len(self._verified) >= MAX_VERIFIED:
                del self._verified[next(iter(self._verified))]
            self._verified[path] = metadata


def _changed(trouble: str) -> str:
    return f"inputs changed while it ran: {trouble}"
