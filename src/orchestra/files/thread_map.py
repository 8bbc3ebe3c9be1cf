"""Reading many small files with threads, because on a network file system most of the time is spent waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from orchestra.domain.errors import VolumeError

T = TypeVar("T")
R = TypeVar("R")

Progress = Callable[[int, int], None]
"""Called in the caller's thread with the number of items done, and of all items."""

THREADS = 16
_AT_A_TIME = 50


@dataclass(slots=True)
class _Work(Generic[T, R]):
    """The shared state of the threads. Each takes the next slice until none is left or they are stopped."""

    items: Sequence[T]
    work: Callable[[T], R]
    slices: Iterator[slice]
    stop: threading.Event = field(default_factory=threading.Event)
    news: SimpleQueue[tuple[slice, list[R]] | BaseException] = field(default_factory=SimpleQueue)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        try:
            while (part := self._next()) is not None and not self.stop.is_set():
                self.news.put((part, [self.work(item) for item in self.items[part]]))
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self.news.put(error)

    def _next(self) -> slice | None:
        with self.lock:
            return next(self.slices, None)


def thread_map(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    progress: Progress | None = None,
    patience: float | None = None,
) -> list[R]:
    """Call `work` on every item in threads; return the results in the order of the items.

    Ctrl-C, an exception of `work` and the end of `patience` (seconds) end it at once. A thread that hangs in a file
    system is abandoned and does not keep the program from exiting.

    Raises:
        VolumeError: it did not finish within `patience`.
    """
    starts = range(0, len(items), _AT_A_TIME)
    slices = (slice(start, min(start + _AT_A_TIME, len(items))) for start in starts)
    shared = _Work(items, work, slices)
    for number in range(min(THREADS, len(starts))):
        threading.Thread(target=shared.run, name=f"reading-{number}", daemon=True).start()
    try:
        return _collect(shared, progress, patience)
    finally:
        shared.stop.set()


def _collect(shared: _Work[T, R], progress: Progress | None, patience: float | None) -> list[R]:
    deadline = None if patience is None else time.monotonic() + patience
    parts: dict[int, list[R]] = {}
    done, total = 0, len(shared.items)
    while done < total:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            news = shared.news.get(timeout=left)
        except Empty:
            raise VolumeError("the volume did not answer in time.") from None
        if isinstance(news, BaseException):
            raise news
        part, results = news
        parts[part.start] = results
        done += len(results)
        if progress:
            progress(done, total)
    return [result for start in sorted(parts) for result in parts[start]]
