"""A TCP proxy before PostgreSQL that can be slow, and closed and opened again: one pilot's cable."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Cable:
    """Passes connections on to a port of this machine, as long as it is plugged in.

    `delay` is for how many seconds the server's answers are on their way.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: set[socket.socket] = set()
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
        if not plugged:
            _close(near)
            _close(far)
            return
        back = threading.Thread(target=self._answer, args=(far, near), daemon=True)
        back.start()
        _pass(near, far)
        back.join()
        with self._lock:
            self._ends -= {near, far}

    def _answer(self, far: socket.socket, near: socket.socket) -> None:
        _pass(far, near, lambda: time.sleep(self.delay))


def _pass(
    source: socket.socket, sink: socket.socket, travel: Callable[[], None] = lambda: None
) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            travel()
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
