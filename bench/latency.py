"""The time from the call that creates a task of one job to the start of its process, on an idle pilot.

python -m bench.latency --tasks 50
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psycopg

from bench.machine import watching
from bench.page import command_line, publish
from bench.site import Site, caller, site
from bench.table import Bar, Section, median, number, percentile, verdict
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Policy
from orchestra.services.tasks import creation

MEDIAN_MS, WORST_MS = 20.0, 100.0
BASH = 'echo "$EPOCHREALTIME" > %OUT/began; : %DATA %IN'
PLAIN = "date +%%s.%%N > %OUT/began; : %DATA %IN"
"""Without bash, the job starts another program to read the time."""


def once(place: Site, conn: psycopg.Connection, name: str, command: str) -> tuple[float, float]:
    """Submit a task and return the milliseconds from the call, and from its return, to the start of the process."""
    ana = caller(conn)
    new = NewTask(
        name=f"user.ana.{name}",
        command=command,
        config="user.ana.grid",
        data="user.ana.input",
        volume=str(place.volume),
        account="root",
        host="bench",
        policy=Policy(test_jobs=0),
    )
    called = time.time()
    task = creation.create(conn, creation.plan(conn, ana, new))
    returned = time.time()
    began = _read(Path(task.folder) / "job_configId_0" / "began")
    return (began - called) * 1000, (began - returned) * 1000


def _read(path: Path, patience: float = 30.0) -> float:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        text = path.read_text() if path.exists() else ""
        if text.endswith("\n"):
            return float(text)
        time.sleep(0.002)
    raise TimeoutError(f"{path} did not appear within {patience:.0f} s")


def measure(place: Site, tasks: int) -> tuple[list[float], list[float]]:
    """Submit one task after the other, each to an idle pilot."""
    place.files("input", 1)
    place.files("grid", 1)
    command = BASH if shutil.which("bash") else PLAIN
    found = []
    with place.pilot(), place.connect() as conn:
        for n in range(tasks + 3):
            found.append(once(place, conn, f"single{n}", command))
            _wait_until_done(conn, n + 1)
    return [pair[0] for pair in found[3:]], [pair[1] for pair in found[3:]]


def _wait_until_done(conn: psycopg.Connection, tasks: int) -> None:
    for _ in range(600):
        row = conn.execute("select count(*) from task where state = 'DONE'").fetchone()
        if row and row[0] == tasks:
            time.sleep(0.3)  # what follows the end is over, and the pilot is idle
            return
        time.sleep(0.05)
    raise TimeoutError(f"{tasks} tasks did not end")


def section(called: list[float], returned: list[float]) -> Section:
    rows = []
    for what, values, bound in (
        ("from the call, median", called, median(called)),
        ("from the call, 99th percentile", called, percentile(called, 99)),
        ("from its return, median", returned, median(returned)),
    ):
        limit = {"median": MEDIAN_MS, "percentile": WORST_MS}[what.split()[-1]]
        kept = (
            f"at most {limit:.0f} ms: {verdict(bound, limit, at_least=False)}"
            if values is called
            else ""
        )
        rows.append((what, number(bound), kept))
    intro = (
        f"{len(called)} tasks of one job, without a test, one after the other, on an idle pilot. "
        "The call creates the task (all checks, all rows, a trial file on the volume), and the job records its start "
        "time. In between are the commit, the notification of the conductor, its step, the notification of the pilot, "
        "the claim, the folder and the start."
    )
    bars = {
        "submit to start, ms": [
            Bar("median", median(called), ours=True),
            Bar("99th percentile", percentile(called, 99), ours=True),
            Bar("bound of the median", MEDIAN_MS),
            Bar("bound of the 99th percentile", WORST_MS),
        ]
    }
    return Section(
        "latency", "Submit to start", intro, [(("", "ms", "bound"), rows)], _limits(called), bars
    )


def _limits(called: list[float]) -> list[str]:
    """Explain what limits the result, if a bound is missed."""
    if median(called) <= MEDIAN_MS and percentile(called, 99) <= WORST_MS:
        return []
    limit = (
        "The limit is about forty statements one after the other, two commits that wait for the disk (the task, the "
        "claim), up to 5 ms by which pilots that are woken together are spread, and processes and threads that wake "
        "each other in turn (command, PostgreSQL, conductor, database thread, agent, I/O thread, keeper). On a busy "
        "machine each of them waits for its turn."
    )
    way = (
        "It would take a command that releases a small task's first jobs itself, without the conductor, and a claim in "
        "one statement."
    )
    return [limit, way]


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--tasks", type=int, default=50)
    args = parser.parse_args()
    with site(args.folder) as place, watching() as watch:
        called, returned = measure(place, args.tasks)
    publish(section(called, returned), watch, args.docs)


if __name__ == "__main__":
    main()
