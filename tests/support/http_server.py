"""A server of Orchestra in a thread of the tests, on a Unix socket."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestra.config import Settings
from orchestra.wiring.server import Database, make_process, make_server
from orchestra.wiring.server_sockets import listen_at_socket


@contextmanager
def serving(settings: Settings, path: str | None = None) -> Iterator[str]:
    """Serve with this configuration, and yield the path of the socket."""
    # A short path: the name of a socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="orchestra-", dir="/tmp") as folder:
        path = path or str(Path(folder, "socket"))
        listening = listen_at_socket(path)
        listening.listen()
        database = Database(settings)
        process = make_process(make_server(settings, database))
        database.open()
        thread = threading.Thread(target=process.run, args=[[listening]], name="server")
        thread.start()
        try:
            yield path
        finally:
            process.should_exit = True
            thread.join(timeout=10)
            database.close()
            listening.close()
            assert not thread.is_alive()
