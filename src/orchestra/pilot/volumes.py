"""Whether the folders that jobs need answer. Each is probed regularly while there are jobs, in a thread of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import PurePosixPath
from time import monotonic

from orchestra.domain import file_waits, troubles
from orchestra.domain.troubles import Kind, Trouble
from orchestra.pilot.context import Context
from orchestra.pilot.io_activity import Access
from orchestra.pilot.state import LocalAttempt

PROBE_EVERY = 5.0
UPDATE_EVERY = 0.5
"""Seconds between two updates while troubles are reported."""
LONG_CHECKSUM = 2.0
"""Seconds after which a checksum is reported."""


def volume_of(attempt: LocalAttempt) -> str:
    """Return the volume: the folder that contains the task's folder."""
    if attempt.task:
        return attempt.task.volume
    return str(PurePosixPath(attempt.note.task_folder).parent)


def folders_of(attempt: LocalAttempt) -> list[str]:
    """Return the folders and files that an attempt needs, its volume first."""
    roots = [files.root for files in attempt.task.shared] if attempt.task else []
    config = attempt.grant.config if attempt.grant else None
    return [volume_of(attempt), *([config.root or config.path] if config else []), *roots]


def silence_of(path: str, attempt: LocalAttempt | None) -> str:
    """Return a sentence for a file that does not answer, with the folder for which the attempt needs it."""
    for folder in folders_of(attempt) if attempt else []:
        if path == folder or path.startswith(f"{folder}/"):
            return file_waits.silent(folder, volume_of(attempt) if attempt else None)
    return file_waits.silent(path)


def _probe(folder: str) -> None:
    """Make a request that the server has to answer; attributes of a file may come from a cache."""
    try:
        os.statvfs(folder)
    except OSError:
        return  # an error is an answer, too


class VolumeWatch:
    """Reports folders that do not answer and checksums that take long, for `node list` and `job explain`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._probes: dict[str, tuple[float, str]] = {}
        self._probe_at = self._due = 0.0
        self._reported: set[str] = set()

    def tick(self, now: float) -> float:
        """Probe the folders that are due; return the next wake-up."""
        attempts = list(self.context.state.attempts.values())
        if not attempts and not self._probes and not self._reported:
            self._due = 0.0
            return inf
        if now < self._due:
            return self._due
        if now >= self._probe_at:
            self._probe_at = now + min(PROBE_EVERY, self.context.launch.silent_after / 2)
            needed = {folder: volume_of(each) for each in attempts for folder in folders_of(each)}
            for folder, volume in needed.items():
                self._probe(folder, volume, now)
        self._update(attempts, now)
        again = now + UPDATE_EVERY if self._reported else inf
        self._due = min(self._probe_at, self._silent_at(now), again)
        return self._due

    def _silent_at(self, now: float) -> float:
        """When the next folder or file counts as silent."""
        launch = self.context.launch
        begun = [began for began, _ in self._probes.values()]
        begun += [access.progress_at for access in launch.io_activity.now()]
        over = (when + launch.silent_after for when in begun)
        return min((when for when in over if when > now), default=inf)

    def _probe(self, folder: str, volume: str, now: float) -> None:
        if folder in self._probes:
            return
        self._probes[folder] = now, file_waits.silent(folder, volume)
        answered: Callable[[object], None] = partial(self._answered, folder)
        self.context.workers.submit(partial(_probe, folder), answered, answered, lane=folder)

    def _answered(self, folder: str, _: object) -> None:
        began, _ = self._probes.pop(folder)
        if monotonic() - began >= self.context.launch.silent_after:
            self._due = 0.0

    def _update(self, attempts: list[LocalAttempt], now: float) -> None:
        launch = self.context.launch
        accesses, silent_after = launch.io_activity.now(), launch.silent_after
        by_task = {attempt.key.task_id: attempt for attempt in attempts}
        unresponsive = {
            folder: words
            for folder, (began, words) in self._probes.items()
            if now - began >= silent_after
        }
        for access in accesses:
            words = silence_of(access.path, by_task.get(access.task))
            if now - access.progress_at >= silent_after and words not in unresponsive.values():
                unresponsive[access.path] = words
        self.context.unresponsive = unresponsive
        silent = [Trouble(Kind.SILENT, words, path=path) for path, words in unresponsive.items()]
        long = [
            troubles.checksum(access.task, access.path)
            for access in accesses
            if _is_long_checksum(access, now, silent_after)
        ]
        self._report({f"volume {trouble.text}": trouble for trouble in (*silent, *long)})

    def _report(self, found: dict[str, Trouble]) -> None:
        for gone in self._reported - found.keys():
            self.context.troubles.pop(gone, None)
        self.context.troubles.update(sorted(found.items()))
        self._reported = set(found)


def _is_long_checksum(access: Access, now: float, silent_after: float) -> bool:
    is_long = now - access.began >= LONG_CHECKSUM
    return access.is_checksum and is_long and now - access.progress_at < silent_after
