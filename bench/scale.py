"""Creating large tasks, and listing a full database: seconds and memory.

python -m bench.scale --jobs 100000 1000000
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import psycopg

from bench import crowd
from bench.machine import watching
from bench.page import command_line, publish
from bench.site import PROGRAM, Failed, Site, site
from bench.table import Bar, Section, Table, median, number, verdict
from orchestra.interface.tasks import ListTasks
from orchestra.services.jobs import views as job_views
from orchestra.services.tasks import lists
from orchestra.services.tasks import views as task_views

CREATE_SECONDS, CREATE_MEMORY = 10.0, 200.0
SERVER_SECONDS, OF_BARE = 0.2, 1.6
TASKS, JOBS_EACH = 1_000, 1_000
ROUNDS = 9
PAGE = 50
BARE = (
    "import sys, psycopg\n"
    "with psycopg.connect(sys.argv[1]) as conn:\n"
    "    print(conn.execute('select count(*) from orchestra.task').fetchone())"
)


def timed(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command, and return its seconds and its peak memory in megabytes.

    Raises:
        Failed: its exit status was not 0.
    """
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            said.seek(0)
            raise Failed(f"{' '.join(command)}: {said.read().decode(errors='replace')}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


def creations(place: Site, sizes: Sequence[int]) -> list[tuple[int, float, float]]:
    """Make a task of each size on the command line; return jobs, seconds and megabytes."""
    found = []
    with place.connect() as conn:
        crowd.dataset(conn, "input", 1, "/v/input")
        for size in sizes:
            crowd.dataset(conn, f"grid{size}", size, f"/v/grid{size}")
    for size in sizes:
        words = ["task", "create", "-c", f"user.ana.grid{size}", "-d", "user.ana.input"]
        words += ["-t", f"user.ana.big{size}", "--exec", "true %DATA %IN %OUT"]
        found.append((size, *timed([*PROGRAM, *words], place.environment)))
        print(f"  task create, {size:,} jobs: {found[-1][1]:.1f} s", file=sys.stderr)
    return found


def views(place: Site) -> list[tuple[str, float, float, float]]:
    """List 1,000 tasks of 1,000 jobs; return for each list the seconds of service, command and bare Python."""
    with place.connect() as conn:
        version = crowd.dataset(conn, "scan", JOBS_EACH, "/v/scan")
        crowd.tasks(conn, "scan", TASKS, JOBS_EACH, version, released=700)
        crowd.has_ended(conn, "scan", done=300, failed=10)
        conn.execute("vacuum analyze")
        task = _task(conn)
        looks: list[tuple[str, Callable[[], object]]] = [
            ("task list", lambda: lists.list_tasks(conn, ListTasks("ana"))),
            (f"task show {task}", lambda: task_views.show(conn, str(task))),
            (
                f"job list {task} --limit {PAGE}",
                lambda: job_views.list_jobs(conn, str(task), None, first=0, limit=PAGE),
            ),
        ]
        return [(words, *_look(place, words.split(), look)) for words, look in looks]


def _task(conn: psycopg.Connection) -> int:
    row = conn.execute("select max(id) - 500 from task").fetchone()
    assert row
    return int(row[0])


def _look(place: Site, words: list[str], look: Callable[[], object]) -> tuple[float, float, float]:
    service, command, bare = [], [], []
    look()
    for _ in range(ROUNDS):
        began = time.monotonic()
        look()
        service.append(time.monotonic() - began)
        command.append(timed([*PROGRAM, *words], place.environment)[0])
        bare.append(timed([sys.executable, "-c", BARE, place.url], place.environment)[0])
    return median(service), median(command), median(bare)


def section(
    made: list[tuple[int, float, float]], seen: list[tuple[str, float, float, float]]
) -> Section:
    creating = []
    for size, seconds, megabytes in made:
        kept = ""
        if size == 1_000_000:
            both = seconds <= CREATE_SECONDS and megabytes <= CREATE_MEMORY
            kept = f"at most {CREATE_SECONDS:.0f} s, {CREATE_MEMORY:.0f} MB: {verdict(both, 1, at_least=True)}"
        creating.append((f"task create, {size:,} jobs", number(seconds), number(megabytes), kept))
    looking = []
    for words, service, command, bare in seen:
        ratio = command / bare
        kept = (
            f"at most {SERVER_SECONDS} s: {verdict(service, SERVER_SECONDS, at_least=False)}; "
            f"at most {OF_BARE} x: {verdict(ratio, OF_BARE, at_least=False)}"
        )
        looking.append(
            (
                words,
                number(service * 1000),
                number(command * 1000),
                number(bare * 1000),
                number(ratio),
                kept,
            )
        )
    intro = (
        "`task create` is the whole command, over a data set that is already registered, with its peak memory. The "
        f"lists are of a database with {TASKS:,} tasks and {TASKS * JOBS_EACH:,} jobs: the time of the service on an "
        "open connection (in the server), that of the whole command, and that of a bare Python which connects and runs "
        f"one query, in turns; medians of {ROUNDS}."
    )
    tables: list[Table] = [
        (("creating", "s", "MB", "bound"), creating),
        (
            ("listing", "service, ms", "command, ms", "bare Python, ms", "command / bare", "bound"),
            looking,
        ),
    ]
    notes = []
    if any(size == 1_000_000 and seconds > CREATE_SECONDS for size, seconds, _ in made):
        notes.append(
            "task create is limited by PostgreSQL, which writes a million rows with two index entries each, and "
            "their log, in one transaction. It would take a faster disk or processor, or jobs that get a row only when "
            "they are released."
        )
    if any(command > OF_BARE * bare for _, _, command, bare in seen):
        notes.append(
            "The command line is limited by its start: besides the driver, which both import, it creates its own "
            "classes, and it reads and prints a list of a thousand tasks. It would take a program that stays in the "
            "background."
        )
    bars = {
        "whole command, ms": [
            *(Bar(words, command * 1000, ours=True) for words, _, command, _ in seen),
            Bar("bare Python", median([bare for *_, bare in seen]) * 1000),
        ]
    }
    return Section("scale", "Large tasks and full databases", intro, tables, notes, bars)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--jobs", type=int, nargs="+", default=[100_000, 1_000_000])
    args = parser.parse_args()
    with watching() as watch:
        with site(args.folder) as place:
            made = creations(place, args.jobs)
        with site(args.folder) as place:
            seen = views(place)
    publish(section(made, seen), watch, args.docs)


if __name__ == "__main__":
    main()
