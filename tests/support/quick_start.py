"""Runs commands in processes that begin with the libraries loaded, which takes most of the time of a short command.

A starter (this file as a program, two for each of pytest's workers) imports what commands use from elsewhere, and the
packages of Orchestra below the command line, none of which reads the environment when it is imported; then it forks for
each command. So a command imports the modules of the command line as usual and reads its environment; only its command
line in /proc is the starter's. It flushes and calls what is registered for its end, but does not take down its modules,
which would take as long as a short command. The other starter forks for pilots, whose modules it has imported.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LIBRARIES = (
    *("psycopg", "psycopg.types.json", "rich.console", "rich.table", "rich_argparse", "msgspec"),
    *("argparse", "concurrent.futures", "http.client", "ipaddress", "json", "shlex", "shutil"),
)
"""Without yaml, which has no types and few commands need."""
PACKAGES = ("config", "domain", "files", "interface", "services", "store")
"""Of Orchestra."""
_LARGEST = 1 << 17
_PIPE = 1 << 16  # what fits into a pipe that nobody reads yet


def can_run(env: Mapping[str, str]) -> bool:
    """Whether the interpreter reads nothing of this environment when it begins: the starter's has begun already."""
    return not any(name.startswith(("PYTHON", "LC_", "LANG", "LD_")) for name in env)


def run(
    module: str,
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    typed: str | None = None,
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m MODULE WORDS...` to its end, like `subprocess.run` with `capture_output`.

    Raises:
        subprocess.TimeoutExpired: it took longer; it is killed.
    """
    assert typed is None or len(typed.encode()) <= _PIPE, "more than the pipe takes"
    with contextlib.ExitStack() as ours:
        out, err = _pipe(ours), _pipe(ours)
        ended, end = socket.socketpair()
        ours.enter_context(ended)
        with end, contextlib.ExitStack() as theirs:
            theirs.callback(os.close, out[1])
            theirs.callback(os.close, err[1])
            stdin = os.open(os.devnull, os.O_RDONLY) if typed is None else _holding(typed)
            theirs.callback(os.close, stdin)
            asked = {"module": module, "words": words, "cwd": str(cwd), "env": dict(env)}
            _ask(asked, [stdin, out[1], err[1], end.fileno()])
        try:
            said = _read((out[0], err[0]), time.monotonic() + timeout)
        except TimeoutError:
            os.kill(int(ended.recv(_PIPE).split()[0]), signal.SIGKILL)
            raise subprocess.TimeoutExpired([module, *words], timeout) from None
        status = int(_rest(ended).split()[1])
    return subprocess.CompletedProcess([module, *words], status, *said)


class Started(subprocess.Popen[str]):
    """A process that a starter has forked; it leads a session of its own, and its stdin and stdout are empty."""

    def __init__(
        self, module: str, words: Sequence[str], env: Mapping[str, str], *, stderr: int
    ) -> None:
        """Start `python -m MODULE WORDS...`, with `stderr` as for `subprocess.Popen`."""
        self.args = [module, *words]
        self.returncode: int | None = None
        self.stdin = self.stdout = self.stderr = None
        self._child_created = False  # nobody here waits for it
        self._communication_started = False
        self._ended, end = socket.socketpair()
        with end, contextlib.ExitStack() as stack:
            null = os.open(os.devnull, os.O_RDWR)
            stack.callback(os.close, null)
            told = null
            if stderr == subprocess.PIPE:
                reader, told = os.pipe()
                stack.callback(os.close, told)
                self.stderr = os.fdopen(reader)
            asked = {"module": module, "words": words, "cwd": str(Path.cwd()), "env": dict(env)}
            _ask({**asked, "session": True}, [null, null, told, end.fileno()], module)
        pid, _, self._said = self._ended.recv(_PIPE).partition(b" ")
        self.pid = int(pid)

    def _internal_poll(self, *_: object) -> int | None:
        """Called by `poll`."""
        if self.returncode is None and select.select([self._ended], [], [], 0)[0]:
            self._wait(None)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        """Called by `wait`."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            with self._ended:
                self.returncode = int(self._said + _rest(self._ended))
        return self.returncode


def _ask(request: Mapping[str, object], descriptors: list[int], *modules: str) -> None:
    with _STARTING:
        starter = _starter(*modules)
    socket.send_fds(starter, [json.dumps(request).encode()], descriptors)


_STARTING = threading.Lock()
"""Held for the first call of `_starter`, so that threads that begin together have the same one."""


@functools.cache
def _starter(*modules: str) -> socket.socket:
    """Start this process's starter of commands, or of what uses further modules. It ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        os.set_inheritable(theirs.fileno(), True)
        # As most commands begin: with the locale of an environment that names none.
        env = {"PATH": os.environ["PATH"]}
        if modules:
            env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno()), *modules],
            env=env,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        ).returncode = 0  # nobody waits for it
    return ours


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    stack.callback(os.close, ends[0])
    return ends


def _holding(text: str) -> int:
    """The reading end of a pipe that contains a text."""
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    return reader


def _read(descriptors: tuple[int, ...], until: float) -> list[str]:
    found = dict.fromkeys(descriptors, b"")
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                more = os.read(key.fd, _PIPE)
                found[key.fd] += more
                if not more:
                    selector.unregister(key.fd)
    return [text.decode().replace("\r\n", "\n").replace("\r", "\n") for text in found.values()]


def _rest(end: socket.socket) -> bytes:
    found = b""
    while more := end.recv(_PIPE):
        found += more
    return found


# The starter


def serve(asking: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; return the request in the new process, and None at the end in this one."""
    running: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor that tells its end
    with selectors.DefaultSelector() as selector:
        selector.register(asking, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    pid, end = running.pop(key.fd)
                    with end, contextlib.suppress(BrokenPipeError):  # who asked has given up
                        end.send(f" {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}".encode())
                    continue
                asked, given, *_ = socket.recv_fds(asking, _LARGEST, 4)
                if not asked:
                    return None
                if (pid := os.fork()) == 0:
                    for number, descriptor in enumerate(given[:3]):
                        os.dup2(descriptor, number)
                    for descriptor in (*given, *running):
                        os.close(descriptor)
                    for _, end in running.values():
                        end.close()
                    request: dict[str, Any] = json.loads(asked)
                    return request
                for descriptor in given[:3]:
                    os.close(descriptor)
                end, watch = socket.socket(fileno=given[3]), os.pidfd_open(pid)
                end.send(str(pid).encode())
                running[watch] = pid, end
                selector.register(watch, selectors.EVENT_READ)


def begin(request: dict[str, Any]) -> None:
    """Make this process what the interpreter would have made of it."""
    if request.get("session"):
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    coerced = {name: os.environ[name] for name in ("LC_CTYPE",) if name in os.environ}  # PEP 538
    os.environ.clear()
    os.environ.update(coerced | request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]
    sys.argv[1:] = request["words"]
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        old = getattr(sys, name)
        new = open(number, mode, encoding=old.encoding, errors=old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, new)
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with the worker
    for library in LIBRARIES:
        importlib.import_module(library)
    for name in PACKAGES:
        package = importlib.import_module(f"orchestra.{name}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(found.name)
    with socket.socket(fileno=int(sys.argv[1])) as asking:
        for module in sys.argv[2:]:
            preload(module)
        gc.freeze()
        request = serve(asking)
    if request:
        begin(request)
        try:
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        except SystemExit as leaving:
            if isinstance(leaving.code, int):
                leave(leaving.code)
            raise


def preload(module: str) -> None:
    """Import what a module imports, and not itself, since it will run as `__main__`."""
    before = set(sys.modules)
    importlib.import_module(module)
    assert module not in before
    del sys.modules[module]


def leave(status: int) -> None:
    """End this process like the interpreter, without taking down its modules."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
