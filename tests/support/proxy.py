"""A TCP proxy before PostgreSQL that can be slow, closed and opened again, and mistreat what passes: one's cable."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Treatment = Callable[[bytes], bytes]
"""What becomes of a piece of an answer."""


def doubled_rows(answer: bytes) -> bytes:
    """Give an answer with each of its rows twice; it must hold whole messages."""
    given, at = b"", 0
    while at < len(answer):
        end = at + 1 + struct.unpack("!I", answer[at + 1 : at + 5])[0]
        given += answer[at:end] * (2 if answer[at : at + 1] == b"D" else 1)
        at = end
    return given


def garbled(data: bytes, at: int) -> bytes:
    """Give data with one byte altered: its highest bit, so that no text or figure becomes another valid one."""
    return data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]


class _Garbler:
    """Alters one byte of an answer that may come in pieces."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, data: bytes) -> bytes:
        at, self._left = self._left, self._left - len(data)
        return garbled(data, at) if 0 <= at < len(data) else data


class _Repeater:
    """Gives the first piece once more, before the second one."""

    def __init__(self) -> None:
        self._again: bytes | None = None

    def __call__(self, data: bytes) -> bytes:
        if self._again is None:
            self._again = data
            return data
        again, self._again = self._again, b""
        return again + data


class _Mute:
    """Lets so many bytes of answers pass, and swallows the rest."""

    def __init__(self, after: int = 0) -> None:
        self._left = after

    def __call__(self, data: bytes) -> bytes:
        passed, self._left = data[: self._left], max(0, self._left - len(data))
        return passed


class Cable:
    """Passes connections on to a port of this machine, as long as it is plugged in.

    `delay` is for how many seconds the server's answers are on their way.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: set[socket.socket] = set()
        self._treatments: dict[socket.socket, Treatment] = {}
        self._mute_new: int | None = None
        self._plugged = True
        self.delay = 0.0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def url(self, url: str) -> str:
        """Give the same database by way of this cable."""
        return re.sub(r"@127\.0\.0\.1:\d+/", f"@127.0.0.1:{self.port}/", url)

    def unplug(self) -> None:
        """Hang up on everybody, and on whoever comes."""
        with self._lock:
            self._plugged = False
            ends, self._ends = self._ends, set()
        for end in ends:
            _close(end)

    def plug(self) -> None:
        with self._lock:
            self._plugged = True

    def mute(self) -> None:
        """Swallow all that is sent over the connections there are; new ones work."""
        self.mute_after(0)

    def mute_everybody(self, *, after: int = 0) -> None:
        """Swallow all that is sent over connections to come as well, once so many bytes of answers have come."""
        self._mute_new = after
        self.mute()

    def mute_after(self, size: int) -> None:
        """Fall silent once so many more bytes of answers have come."""
        self._treat(lambda: _Mute(size))

    def repeat(self) -> None:
        """Give the next answer twice, the second time just before the one after it."""
        self._treat(_Repeater)

    def double_rows(self) -> None:
        """Give each row twice."""
        self._treat(lambda: doubled_rows)

    def garble(self, at: int) -> None:
        """Alter one byte of the answers to come, the one at this place."""
        self._treat(lambda: _Garbler(at))

    def behave(self) -> None:
        """Let everything work again."""
        self._mute_new = None
        self._treat(lambda: lambda data: data)

    def _treat(self, make: Callable[[], Treatment]) -> None:
        with self._lock:
            for end in self._ends:
                self._treatments[end] = make()

    def close(self) -> None:
        _close(self._listener)
        self.unplug()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            _close(near)
            return
        with self._lock:
            plugged = self._plugged
            if plugged:
                self._ends |= {near, far}
                if self._mute_new is not None:
                    self._treatments[far] = _Mute(self._mute_new)
        if not plugged:
            _close(near)
            _close(far)
            return
        back = threading.Thread(target=self._pass, args=(far, near, far), daemon=True)
        back.start()
        self._pass(near, far)
        back.join()
        with self._lock:
            self._ends -= {near, far}
            self._treatments.pop(far, None)

    def _pass(
        self, source: socket.socket, sink: socket.socket, answers: socket.socket | None = None
    ) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if answers:
                    time.sleep(self.delay)
                    data = self._treatments.get(answers, bytes)(data)
                sink.sendall(data)
        _close(source)
        _close(sink)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def cable(url: str) -> Iterator[Cable]:
    """Give a cable to the server of this address."""
    found = re.search(r"@127\.0\.0\.1:(\d+)/", url)
    assert found, url
    made = Cable(int(found[1]))
    try:
        yield made
    finally:
        made.close()
