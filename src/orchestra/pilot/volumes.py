"""Do the folders that jobs need answer? Each is asked again and again, in a thread of its own, while there are jobs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from time import monotonic

from orchestra.domain import file_waits, troubles
from orchestra.domain.troubles import Kind, Trouble
from orchestra.pilot.context import Context
from orchestra.pilot.io_activity import Access
from orchestra.pilot.state import LocalAttempt

ASK_EVERY = 5.0
LOOK_AGAIN = 0.5
"""Seconds after which what was said is looked at again."""
LONG = 2.0
"""Seconds after which it is told that a checksum is being taken."""


def volume_of(attempt: LocalAttempt) -> str:
    """Give the folder in which an attempt's task has its own."""
    return (
        attempt.task.volume if attempt.task else str(PurePosixPath(attempt.note.task_folder).parent)
    )


def folders_of(attempt: LocalAttempt) -> list[str]:
    """Give the folders and files that an attempt needs, its volume first."""
    roots = [files.root for files in attempt.task.shared] if attempt.task else []
    config = attempt.grant.config if attempt.grant else None
    return [volume_of(attempt), *([config.root or config.path] if config else []), *roots]


def in_words(path: str, attempt: LocalAttempt | None) -> str:
    """Say of a file that it does not answer, by the name of the folder that an attempt needs it for."""
    for folder in folders_of(attempt) if attempt else []:
        if path == folder or path.startswith(f"{folder}/"):
            return file_waits.silent(folder, volume_of(attempt) if attempt else None)
    return file_waits.silent(path)


def _ask(folder: str) -> None:
    """The server has to answer this; what is known of a file may come from a cache."""
    try:
        os.statvfs(folder)
    except OSError:
        return  # an answer, too


class VolumeWatch:
    """Notes which folders do not answer, and which checksums take long, for `node list` and `job explain`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._asked: dict[str, tuple[float, str]] = {}
        self._ask_at = self._due = 0.0
        self._said: set[str] = set()

    def tick(self, now: float) -> float:
        """Ask what is due; gives when to be called again."""
        if not self.context.state.attempts and not self._asked and not self._said:
            self._due = 0.0
            return float("inf")
        if now < self._due:
            return self._due
        attempt = list(self.context.state.attempts.values())
        if now >= self._ask_at:
            self._ask_at = now + min(ASK_EVERY, self.context.launch.patience / 2)
            needed = {folder: volume_of(each) for each in attempt for folder in folders_of(each)}
            for folder, volume in needed.items():
                self._ask(folder, volume, now)
        self._note(attempt, now)
        again = now + LOOK_AGAIN if self._said else float("inf")
        self._due = min(self._ask_at, self._silent_at(now), again)
        return self._due

    def _silent_at(self, now: float) -> float:
        """Give when the next folder or file that was touched does not answer."""
        touched = [asked for asked, _ in self._asked.values()]
        touched += [touch.moved for touch in self.context.launch.io_activity.now()]
        over = (when + self.context.launch.patience for when in touched)
        return min((when for when in over if when > now), default=float("inf"))

    def _ask(self, folder: str, volume: str, now: float) -> None:
        if folder in self._asked:
            return
        self._asked[folder] = now, file_waits.silent(folder, volume)
        answered: Callable[[object], None] = partial(self._answered, folder)
        self.context.workers.submit(partial(_ask, folder), answered, answered, lane=folder)

    def _answered(self, folder: str, _: object) -> None:
        asked, _ = self._asked.pop(folder)
        if monotonic() - asked >= self.context.launch.patience:
            self._due = 0.0

    def _note(self, attempt: list[LocalAttempt], now: float) -> None:
        patience, io_activity = self.context.launch.patience, self.context.launch.io_activity.now()
        by_task = {each.key.task_id: each for each in attempt}
        unresponsive = {
            folder: words
            for folder, (asked, words) in self._asked.items()
            if now - asked >= patience
        }
        stuck = [touch for touch in io_activity if now - touch.moved >= patience]
        for touch in stuck:
            words = in_words(touch.path, by_task.get(touch.task))
            if words not in unresponsive.values():
                unresponsive[touch.path] = words
        self.context.unresponsive = unresponsive
        silent = [Trouble(Kind.SILENT, words, path=path) for path, words in unresponsive.items()]
        long = [
            troubles.checksum(t.task, t.path) for t in io_activity if _is_long(t, now, patience)
        ]
        self._say({f"volume {trouble.text}": trouble for trouble in (*silent, *long)})

    def _say(self, told: dict[str, Trouble]) -> None:
        for gone in self._said - told.keys():
            self.context.troubles.pop(gone, None)
        self.context.troubles.update(sorted(told.items()))
        self._said = set(told)


def _is_long(touch: Access, now: float, patience: float) -> bool:
    return touch.reads and now - touch.began >= LONG and now - touch.moved < patience
