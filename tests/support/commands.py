"""Runs commands in processes that are forked from one in which the modules of the command line are loaded.

Each is a process of its own, as when people run it, but costs a twentieth of its time. Each proves what commands over
HTTP load: neither a database driver nor the server's framework.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

FORBIDDEN = (
    "psycopg", "psycopg_pool", "starlette", "uvicorn", "h11", "anyio", "jinja2", "orchestra.store.driver",
    "orchestra.store.postgres.embedded", "orchestra.services", "orchestra.api", "orchestra.web", "orchestra.cli.local",
)  # fmt: skip
"""Modules that no command over HTTP loads."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended: its exit status and output, and which of the forbidden modules it has loaded."""

    status: int
    out: str
    err: str
    loaded: tuple[str, ...]


class Forkserver:
    """The process from which commands are forked; it has no other threads and no connections.

    With `driver`, it has loaded what commands with a connection need.
    """

    def __init__(self, *, driver: bool = False) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), "driver" if driver else ""],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self._socket = ours
        self._answers = ours.makefile()

    def run(
        self,
        arguments: Sequence[str],
        *,
        folder: Path,
        env: Mapping[str, str],
        typed: str | None,
        timeout: float,
    ) -> Done:
        """Run `maestro` with these arguments to its end."""
        with tempfile.TemporaryFile() as given, _file() as out, _file() as err:
            given.write((typed or "").encode())
            given.seek(0)
            asked = {"arguments": list(arguments), "folder": str(folder), "env": dict(env)}
            files = [each.fileno() for each in (given, out, err)]
            socket.send_fds(self._socket, [json.dumps(asked).encode() + b"\n"], files)
            self._socket.settimeout(timeout)
            answer = json.loads(self._answers.readline())
            return Done(answer["status"], _text(out), _text(err), tuple(answer["loaded"]))

    def close(self) -> None:
        """End the process."""
        self._answers.close()
        self._socket.close()
        self._process.wait(timeout=10)


def _file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _serve(channel: socket.socket) -> None:
    """Run what is asked, one command at a time, until the other side is gone."""
    _preload()
    if sys.argv[2] == "driver":
        _preload_driver()
    while True:
        # A request fits in one message of the socket's buffer.
        data, files, _flags, _address = socket.recv_fds(channel, 1 << 20, 3)
        if not data:
            return
        asked = json.loads(data)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os._exit(_command(asked, files, writer))
        os.close(writer)
        for each in files:
            os.close(each)
        with os.fdopen(reader) as told:
            loaded = told.read().split()
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        channel.sendall(json.dumps({"status": code, "loaded": loaded}).encode() + b"\n")


def _preload() -> None:
    import argparse  # noqa: F401
    import http.client  # noqa: F401
    import pkgutil
    from importlib import import_module

    import orchestra.cli
    import orchestra.interface

    for package in (orchestra.cli, orchestra.interface):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not found.ispkg and not found.name.endswith("plot_drawing"):
                import_module(found.name)
    import orchestra.config
    import orchestra.interface.remote
    import orchestra.wiring.interface
    import orchestra.wiring.settings

    assert not _forbidden(), _forbidden()


def _preload_driver() -> None:
    import orchestra.interface.local
    import orchestra.services.tasks.creation
    import orchestra.services.tasks.views
    import orchestra.wiring.database
    import orchestra.wiring.identity  # noqa: F401


def _command(asked: dict[str, Any], files: list[int], writer: int) -> int:
    from orchestra.cli.main import main

    for number, each in enumerate(files):
        os.dup2(each, number)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["folder"])
    sys.stdin = os.fdopen(0)
    sys.orig_argv = []
    try:
        status = main(asked["arguments"])
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.write(writer, " ".join(_forbidden()).encode())
    return status


def _forbidden() -> list[str]:
    return [
        name
        for name in sys.modules
        if any(name == each or name.startswith(f"{each}.") for each in FORBIDDEN)
    ]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve(socket.socket(fileno=int(sys.argv[1])))
