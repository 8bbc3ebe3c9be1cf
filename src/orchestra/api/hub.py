"""Live updates of pages: one look at the database for everybody who watches, shared by all open streams.

A thread looks twice a second while somebody listens. What has changed is encoded once, and each stream is given what
concerns its topics. The event loop only moves bytes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Protocol

from orchestra.domain.errors import OrchestraError
from orchestra.domain.hints import RESYNC, Changed, Hint, Topics, hints
from orchestra.interface import codec

LOOK_EVERY = 0.5
LOOK_AGAIN = 1.0
"""Seconds after a look that failed."""
BEAT_EVERY = 10.0
"""Seconds between signs of life. They say that the database answers, too: without it there are none."""
LINGER = 10.0
"""Seconds for which the looks go on without a listener, since a browser goes from page to page."""
KEPT = 1000
"""Hints that a stream can catch up on."""
WAITING = 200
"""Chunks that wait for a slow reader; after that it is told to read everything again."""
STREAM_ENDS_AFTER = 600.0
"""Seconds. The reader connects again and shows again who it is."""
RECONNECT_AFTER = 2000
"""Milliseconds that browsers wait before they connect again."""

_log = logging.getLogger(__name__)


class Watch(Protocol):
    """Looks at the database, for one thread."""

    def look(self, topics: Topics, /) -> Changed:
        """Return what has changed since the previous look."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A hint that was sent: its number, when, and as bytes."""

    number: int
    at: float
    hint: Hint
    frame: bytes


class Hub:
    """All open streams of a process. Everything but the looks happens in the event loop."""

    def __init__(self, open_watch: Callable[[], Watch]) -> None:
        self._open_watch = open_watch
        self._listeners: set[_Listener] = set()
        self._topics = Topics()
        self._looks: _Looks | None = None
        self._sent: deque[Kept] = deque(maxlen=KEPT)
        self._number = 0
        self._start = ""
        self._began: float | None = None
        self._beat = self._left = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = asyncio.Event()

    async def listen(
        self, topics: Topics, last: str = "", age: float = 0.0
    ) -> AsyncGenerator[bytes, None]:
        """Yield a stream's bytes until it ends.

        Args:
            last: the id of the last frame that its reader has seen.
            age: without one, for how many seconds the reader has had what it shows.
        """
        self._loop = asyncio.get_running_loop()
        listener = _Listener(topics, time.monotonic() + STREAM_ENDS_AFTER)
        self._listeners.add(listener)
        self._topics = self._topics | topics
        try:
            self._begin()
            missed = self._missed(last, time.monotonic() - age)
            yield f"retry: {RECONNECT_AFTER}\n\n".encode() + self._joined(missed, topics)
            while not self._closed.is_set():
                if (chunk := await listener.next()) is None:
                    return
                yield chunk
        finally:
            self._listeners.discard(listener)
            self._topics = reduce(or_, (each.topics for each in self._listeners), Topics())
            self._left = time.monotonic()

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    async def closes_within(self, seconds: float) -> bool:
        """Wait so long; True as soon as the server is about to end."""
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """End all streams. May be called by any thread, and by a handler of a signal."""
        if self._loop is None:
            self._closed.set()
        else:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._closed.set()
        for listener in self._listeners:
            listener.put(None)
        self._stop()

    def _begin(self) -> None:
        """Look from now on, unless that is so already."""
        if self._looks is None:
            self._start = secrets.token_hex(4)
            self._began = None
            self._sent.clear()
            self._looks = _Looks(self)

    def _stop(self) -> None:
        if self._looks is not None:
            self._looks.stopped.set()
            self._looks = None

    def _missed(self, last: str, since: float) -> tuple[Kept, ...]:
        """Return the hints that a reader has not seen, or the one that it is to read everything again.

        Before the first look there are none: everybody reads again after it.
        """
        if self._began is None:
            return ()
        start, _, number = last.rpartition("-")
        oldest = self._sent[0].number if len(self._sent) == KEPT else 0
        if last and start == self._start and number.isdecimal() and int(number) >= oldest - 1:
            return tuple(each for each in self._sent if each.number > int(number))
        # A look sees what was committed shortly before it.
        since -= 2 * LOOK_EVERY
        if last or since < self._began or (oldest and since < self._sent[0].at):
            return (Kept(self._number, since, RESYNC, self._frame(RESYNC.kind)),)
        return tuple(each for each in self._sent if each.at >= since)

    def tell(self, looks: _Looks, changed: Changed | None) -> None:
        """Take what a look has found; None if it has failed."""
        if looks is not self._looks:
            return
        now = time.monotonic()
        if not self._listeners and now > self._left + LINGER:
            self._stop()
            return
        if changed is None:
            return
        new = [self._keep(hint, now) for hint in (hints(changed) if self._began else (RESYNC,))]
        if self._began is None:
            self._began = self._beat = now
        beat = b""
        if now >= self._beat + BEAT_EVERY:
            self._beat, beat = now, self._frame("beat")
        if not new and not beat:
            return
        for listener in self._listeners:
            if chunk := self._joined(new, listener.topics) + beat:
                listener.put(chunk)
            if beat and now > listener.ends_at:
                listener.put(None)

    def _keep(self, hint: Hint, now: float) -> Kept:
        self._number += 1
        kept = Kept(self._number, now, hint, self._frame(hint.kind, hint.task))
        self._sent.append(kept)
        return kept

    def _frame(self, kind: str, task: int | None = None) -> bytes:
        data = codec.encode({} if task is None else {"task": task})
        return b"id: %s-%d\nevent: %s\ndata: %s\n\n" % (
            self._start.encode(), self._number, kind.encode(), data,
        )  # fmt: skip

    @staticmethod
    def _joined(kept: list[Kept] | tuple[Kept, ...], topics: Topics) -> bytes:
        return b"".join(each.frame for each in kept if each.hint.concerns(topics))

    def topics(self) -> Topics:
        """Return what somebody listens to."""
        return self._topics

    def hand_over(self, looks: _Looks, changed: Changed | None) -> None:
        """Let the event loop take what a look has found; called by the thread that looks."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.tell, looks, changed)

    def open_watch(self) -> Watch:
        """Return something to look with."""
        return self._open_watch()


class _Looks:
    """The thread that looks, until it is stopped. A look that hangs does not keep the process from ending."""

    def __init__(self, hub: Hub) -> None:
        self.stopped = threading.Event()
        self._hub = hub
        threading.Thread(target=self._run, name="hub", daemon=True).start()

    def _run(self) -> None:
        watch = self._hub.open_watch()
        pause = 0.0
        forgotten = False
        while not self.stopped.wait(pause):
            pause = LOOK_EVERY
            changed = None
            try:
                changed = watch.look(self._hub.topics())
                changed, forgotten = Changed(everything=True) if forgotten else changed, False
            except OrchestraError:
                pause = LOOK_AGAIN
            except Exception:  # noqa: BLE001 - streams must outlive any one failure
                _log.exception("looking for changes failed")
                watch.close()
                pause, forgotten = LOOK_AGAIN, True
            self._hub.hand_over(self, changed)
        watch.close()


class _Listener:
    """One open stream, and what waits for its reader."""

    def __init__(self, topics: Topics, ends_at: float) -> None:
        self.topics = topics
        self.ends_at = ends_at
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(self, chunk: bytes | None) -> None:
        """Send bytes, or end the stream with None."""
        if chunk is not None and self._chunks.qsize() >= WAITING:
            while not self._chunks.empty():
                self._chunks.get_nowait()
            chunk = b"event: resync\ndata: {}\n\n"
        self._chunks.put_nowait(chunk)

    async def next(self) -> bytes | None:
        """Return the next bytes, or None at the end."""
        return await self._chunks.get()
