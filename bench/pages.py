"""Pages and lists of a full database over HTTP, the weight of a page, and commands over HTTP beside PostgreSQL.

    python -m bench.pages --tasks 1000 --jobs 10000

Each page is fetched over the server's Unix socket, and is timed until its last byte: what the server needs, and what
the transfer on the same machine adds.
"""

from __future__ import annotations

import gzip
import http.client
import re
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import psycopg

from bench import crowd
from bench.machine import watching
from bench.page import command_line, publish
from bench.scale import timed
from bench.site import PROGRAM, Failed, Site, site
from bench.streams import server
from bench.table import Section, Table, median, number, verdict

TASKS, JOBS = 1_000, 10_000
DONE, FAILED = 300, 10
ROUNDS = 9
PAGE_SECONDS, PAGE_BYTES = 0.2, 150_000
PAGES = (
    "/",
    "/tasks",
    "/tasks?owner=ana",
    "/tasks/{task}",
    "/tasks/{task}?status=failed",
    "/tasks/{task}/jobs/5",
    "/tasks/{task}/results",
    "/tasks/{task}/kill",
    "/queue?name=cpu",
    "/nodes",
    "/datasets",
    "/users",
    "/mails",
    "/api/v1/tasks",
    "/api/v1/tasks/{task}/show",
    "/api/v1/tasks/{task}/jobs?limit=50",
    "/api/v1/tasks/{task}/failures",
    "/api/v1/overview",
    "/api/v1/queues/cpu",
)
COMMANDS = ("task list", "task show {task}", "job list {task} --limit 50")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page: its seconds, its bytes as sent by a server with gzip, and those of all that it loads."""

    path: str
    seconds: float
    page: int
    whole: int


class _Link(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def fetch(self, path: str) -> bytes:
        self.request("GET", path)
        answer = self.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Failed(f"{path}: {answer.status} {body[:200]!r}")
        return body


def fill(conn: psycopg.Connection, tasks: int, jobs: int) -> int:
    """Make the tasks and their jobs, and return one task."""
    version = crowd.dataset(conn, "scan", jobs, "/v/scan")
    crowd.tasks(conn, "scan", tasks, jobs, version, released=DONE + FAILED + 100)
    crowd.has_ended(conn, "scan", done=DONE, failed=FAILED)
    conn.execute("vacuum analyze")
    row = conn.execute("select max(id) from task").fetchone()
    assert row
    return int(row[0]) - tasks // 2


def fetched(path: Path, task: int) -> list[Fetched]:
    """Fetch every page several times."""
    link = _Link(path)
    found = []
    for shape in PAGES:
        address = shape.format(task=task)
        link.fetch(address)
        seconds = []
        body = b""
        for _ in range(ROUNDS):
            began = time.monotonic()
            body = link.fetch(address)
            seconds.append(time.monotonic() - began)
        size = len(gzip.compress(body))
        whole = size + sum(_weights(link, address, body).values())
        found.append(Fetched(shape, median(seconds), size, whole))
        print(f"  {address}: {found[-1].seconds * 1000:.0f} ms", file=sys.stderr)
    return found


def _weights(link: _Link, address: str, body: bytes) -> dict[str, int]:
    """Return the gzipped sizes of the static files that a page loads, and that these import."""
    found: dict[str, int] = {}
    left = [(address, body)]
    while left:
        base, text = left.pop()
        named = re.findall(rb'(?:href|src)="(/static/[^"]+)"|from "(\./[^"]+)"', text)
        for part in (urljoin(base, (one or other).decode()) for one, other in named):
            if part not in found:
                content = link.fetch(part)
                found[part] = len(gzip.compress(content))
                left.append((part, content))
    return found


def commands(place: Site, path: Path, task: int) -> list[tuple[str, float, float]]:
    """Run commands over PostgreSQL and over HTTP in turns; return the seconds of each."""
    over_http = {**place.environment, "MAESTRO_SERVER": f"unix:{path}"}
    found = []
    for shape in COMMANDS:
        words = [*PROGRAM, *shape.format(task=task).split()]
        direct, remote = [], []
        for _ in range(ROUNDS):
            direct.append(timed(words, place.environment)[0])
            remote.append(timed(words, over_http)[0])
        found.append((shape, median(direct), median(remote)))
    return found


def section(
    pages: list[Fetched], ran: list[tuple[str, float, float]], tasks: int, jobs: int
) -> Section:
    looks = [
        (
            each.path.format(task="ID"),
            number(each.seconds * 1000),
            number(each.page / 1000),
            number(each.whole / 1000),
            verdict(each.seconds, PAGE_SECONDS, at_least=False),
        )
        for each in pages
    ]
    runs = [
        (
            shape.format(task="ID"),
            number(direct * 1000),
            number(remote * 1000),
            verdict(remote, direct, at_least=False),
        )
        for shape, direct, remote in ran
    ]
    heaviest = max(each.whole for each in pages)
    intro = (
        f"A server with {tasks:,} tasks and {tasks * jobs:,} jobs, over its Unix socket; medians of {ROUNDS}. A page "
        f"and each list: at most {PAGE_SECONDS} s. With all that it loads, which the browser keeps, the heaviest page "
        f"weighs {heaviest / 1000:.0f} kB (at most {PAGE_BYTES / 1000:.0f} kB: "
        f"{verdict(heaviest, PAGE_BYTES, at_least=False)}); nothing comes from elsewhere. Whole commands over HTTP and "
        "over PostgreSQL ran in turns."
    )
    tables: list[Table] = [
        (("page", "ms", "gzipped, kB", "with all it loads, kB", "bound"), looks),
        (("command", "PostgreSQL, ms", "HTTP, ms", "not slower"), runs),
    ]
    return Section("pages", "Pages, and commands over HTTP", intro, tables)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--jobs", type=int, default=JOBS)
    args = parser.parse_args()
    with site(args.folder) as place, watching() as watch:
        with place.connect() as conn:
            task = fill(conn, args.tasks, args.jobs)
        with server(place) as (_pid, path):
            pages = fetched(path, task)
            ran = commands(place, path, task)
    publish(section(pages, ran, args.tasks, args.jobs), watch, args.docs)


if __name__ == "__main__":
    main()
