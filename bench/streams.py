"""What open pages cost a server: idle streams, streams that are told of every change, and how late the last one is.

    python -m bench.streams --pages 200 --seconds 20

Each page is a stream over the server's Unix socket. While they are idle, the server looks for changes twice a second
and sends signs of life; while they are busy, a hundred tasks change in a second, and every page is told of each.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.machine import cpu_seconds, memory, watching
from bench.page import command_line, publish
from bench.site import PROGRAM, Failed, Site, site
from bench.table import Section, median, number, verdict
from orchestra.store.cluster.events import add_task_event

PAGES, CHANGES = 200, 100
IDLE_AT_MOST, LATE_AT_MOST = 2.0, 2.0
TRIALS = 10


@dataclass
class Costs:
    """Percent of a core, kilobytes of memory a stream, and seconds until the last page was told."""

    idle: float
    busy: float
    kilobytes: float
    late: list[float]


@contextmanager
def server(place: Site) -> Iterator[tuple[int, Path]]:
    """Run a server; provide its pid, and the path of its socket."""
    path = place.folder / "socket"
    process = subprocess.Popen(
        [*PROGRAM, "server", "run", "--port", "0", "--socket", path],
        env=place.environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(path)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise Failed("the server did not start")
        yield process.pid, path
    finally:
        process.terminate()
        process.wait()


class Pages:
    """Open streams, and what they have been told."""

    def __init__(self, path: Path, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._tails: dict[socket.socket, bytes] = {}
        for _ in range(count):
            page = socket.socket(socket.AF_UNIX)
            page.connect(str(path))
            page.sendall(
                b"GET /api/v1/stream?topics=tasks,nodes HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
            self._selector.register(page, selectors.EVENT_READ)
            self._tails[page] = b""

    def read(self, seconds: float) -> None:
        """Read whatever comes for a while."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            self._take(left)

    def read_until(self, expected: bytes) -> None:
        """Read until every page has been told something."""
        while not all(expected in tail for tail in self._tails.values()):
            if not self._take(30):
                raise Failed(f"not every page was told {expected.decode()}")

    def _take(self, patience: float) -> bool:
        ready = self._selector.select(patience)
        for key, _ in ready:
            assert isinstance(key.fileobj, socket.socket)
            self._tails[key.fileobj] = (self._tails[key.fileobj] + key.fileobj.recv(1 << 16))[
                -4096:
            ]
        return bool(ready)

    def close(self) -> None:
        """Leave all pages."""
        for page in self._tails:
            page.close()


def _change(conn: psycopg.Connection, task: int) -> None:
    add_task_event(conn, task, before=None, after="RUNNING", who="bench")


def _share(pid: int, began: float, seconds: float) -> float:
    return (cpu_seconds(pid) - began) / seconds * 100


def measure(place: Site, pages: int, seconds: float) -> Costs:
    """Open the pages; measure them idle, then busy, then how long one change takes to reach all."""
    with ExitStack() as stack:
        pid, path = stack.enter_context(server(place))
        conn = stack.enter_context(place.connect())
        alone = memory(pid)[0]
        opened = Pages(path, pages)
        stack.callback(opened.close)
        opened.read_until(b"retry: ")
        opened.read(3)
        began = cpu_seconds(pid)
        opened.read(seconds)
        idle = _share(pid, began, seconds)
        kilobytes = (memory(pid)[0] - alone) / 1024 / pages
        began, task = cpu_seconds(pid), 0
        for _ in range(int(seconds)):
            for _ in range(CHANGES):
                _change(conn, task := task + 1)
            opened.read(1)
        busy = _share(pid, began, seconds)
        late = []
        for number_ in range(TRIALS):
            changed = time.monotonic()
            _change(conn, 10**6 + number_)
            opened.read_until(b'{"task":%d}' % (10**6 + number_))
            late.append(time.monotonic() - changed)
        return Costs(idle, busy, kilobytes, late)


def section(found: Costs, pages: int, seconds: float) -> Section:
    told = median(found.late)
    cheap = verdict(found.idle, IDLE_AT_MOST, at_least=False)
    quick = verdict(told, LATE_AT_MOST, at_least=False)
    rows = [
        ("idle, % of a core", number(found.idle), f"at most {IDLE_AT_MOST:.0f} %: {cheap}"),
        (f"{CHANGES} changes a second, % of a core", number(found.busy), ""),
        ("memory of a stream, kB", number(found.kilobytes), ""),
        (
            "from a change until the last page knows, s",
            number(told),
            f"at most {LATE_AT_MOST:.0f} s: {quick}",
        ),
    ]
    intro = (
        f"One server with {pages} open pages, measured for {seconds:.0f} s idle, and for as long while {CHANGES} tasks "
        "change every second and each page is told of all of them."
    )
    return Section("streams", "Open pages", intro, [(("", "", "bound"), rows)])


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--pages", type=int, default=PAGES)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    with site(args.folder) as place, watching() as watch:
        found = measure(place, args.pages, args.seconds)
    publish(section(found, args.pages, args.seconds), watch, args.docs)


if __name__ == "__main__":
    main()
