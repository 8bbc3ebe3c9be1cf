"""A TCP proxy in front of PostgreSQL that can be slow, unplugged like a cable, and corrupt what passes."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Treatment = Callable[[bytes], bytes]
"""Returns what is forwarded for a piece of an answer."""


def doubled_rows(answer: bytes) -> bytes:
    """Return an answer with each of its rows twice; it must consist of whole messages."""
    given, at = b"", 0
    while at < len(answer):
        end = at + 1 + struct.unpack("!I", answer[at + 1 : at + 5])[0]
        given += answer[at:end] * (2 if answer[at : at + 1] == b"D" else 1)
        at = end
    return given


def garbled(data: bytes, at: int) -> bytes:
    """Return data with the highest bit of one byte flipped, so that no text or number becomes another valid one."""
    return data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :]


class _Garbler:
    """Alters one byte of an answer that may come in pieces."""

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, data: bytes) -> bytes:
        at, self._left = self._left, self._left - len(data)
        return garbled(data, at) if 0 <= at < len(data) else data


class _Repeater:
    """Repeats the first piece before the second one."""

    def __init__(self) -> None:
        self._again: bytes | None = None

    def __call__(self, data: bytes) -> bytes:
        if self._again is None:
            self._again = data
            return data
        again, self._again = self._again, b""
        return again + data


class _Mute:
    """Lets so many bytes of answers pass, and drops the rest."""

    def __init__(self, after: int = 0) -> None:
        self._left = after

    def __call__(self, data: bytes) -> bytes:
        passed, self._left = data[: self._left], max(0, self._left - len(data))
        return passed


class Cable:
    """Forwards connections to a port of this machine, as long as it is plugged in.

    `delay` is how many seconds the server's answers take.
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
        """Return the address of the same database through this cable."""
        return re.sub(r"@127\.0\.0\.1:\d+/", f"@127.0.0.1:{self.port}/", url)

    def unplug(self) -> None:
        """Close all connections, and every new one."""
        with self._lock:
            self._plugged = False
            ends, self._ends = self._ends, set()
        for end in ends:
            _close(end)

    def plug(self) -> None:
        with self._lock:
            self._plugged = True

    def mute(self) -> None:
        """Drop all answers on the present connections; new ones work."""
        self.mute_after(0)

    def mute_everybody(self, *, after: int = 0) -> None:
        """Drop all answers, on new connections after so many bytes of answers."""
        self._mute_new = after
        self.mute()

    def mute_after(self, size: int) -> None:
        """Drop answers on the present connections after so many more bytes."""
        self._treat(lambda: _Mute(size))

    def repeat(self) -> None:
        """Send the next answer twice, the second time just before the answer after it."""
        self._treat(_Repeater)

    def double_rows(self) -> None:
        """Send each row twice."""
        self._treat(lambda: doubled_rows)

    def garble(self, at: int) -> None:
        """Alter one byte of the next answers, the one at this position."""
        self._treat(lambda: _Garbler(at))

    def behave(self) -> None:
        """Stop all faults."""
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
    """Yield a cable to the server of this address."""
    found = re.search(r"@127\.0\.0\.1:(\d+)/", url)
    assert found, url
    made = Cable(int(found[1]))
    try:
        yield made
    finally:
        made.close()
