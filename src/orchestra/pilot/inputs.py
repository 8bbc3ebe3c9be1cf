"""Are a job's inputs what was registered? Asked before each start, in I/O threads."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from orchestra.domain.models.work import InputFile, TaskSpec
from orchestra.services.manifest import check_file

SHARED_EVERY = 5.0
"""Seconds for which the files that all jobs of a task read are taken to be as they were."""
SHARE_OF_TIME = 50
"""A check that took long is repeated after this many times as long."""


@dataclass(slots=True)
class _Shared:
    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    trouble: str | None = None


class InputGuard:
    """Checks files, and remembers how those looked that were found right: a hash is taken once."""

    def __init__(self) -> None:
        self._verified: dict[str, tuple[InputFile, int, int, int]] = {}
        self._shared: dict[int, _Shared] = {}
        self._lock = threading.Lock()

    def trouble(self, task: TaskSpec, config: InputFile) -> str | None:
        """Give what is wrong with a job's config or with the files of its task, in one sentence; None if nothing is."""
        return check_file(config.entry, config.path) or self._shared_trouble(task)

    def _shared_trouble(self, task: TaskSpec) -> str | None:
        with self._lock:
            shared = self._shared.setdefault(task.id, _Shared())
        with shared.lock:
            before = time.monotonic()
            if before >= shared.until:
                found = (self._remembered(file) for file in task.shared_files)
                shared.trouble = next(filter(None, found), None)
                after = time.monotonic()
                shared.until = after + max(SHARED_EVERY, SHARE_OF_TIME * (after - before))
            return shared.trouble

    def _remembered(self, file: InputFile) -> str | None:
        try:
            facts = Path(file.path).stat()
        except OSError:
            return check_file(file.entry, file.path)
        looks = (file, facts.st_size, facts.st_mtime_ns, facts.st_ino)
        if self._verified.get(file.path) == looks:
            return None
        trouble = check_file(file.entry, file.path)
        if trouble is None:
            self._verified[file.path] = looks
        return trouble
