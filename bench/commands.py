"""Commands next to eight pilots at full speed: hold, release and kill, from a connected client, and --max-fails.

    python -m bench.commands --rounds 10

On Orchestra's own PostgreSQL, and on Debian's with its default settings where that is installed. A time is that of
the service's function, from its call to its answer; with --max-fails, from the moment when so many jobs have failed
until the task is held.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench import crowd, pilots
from bench.machine import watching
from bench.page import command_line, publish
from bench.site import DEBIAN, Site, caller, debian_site, site
from bench.table import Section, median, number, verdict
from orchestra.domain.caller import Caller
from orchestra.domain.errors import DatabaseUnavailable
from orchestra.services.tasks import actions
from orchestra.store.driver.database import connect

PILOTS, BATCH, JOBS = 8, 64, 30_000
MAX_FAILS = 600
AT_MOST, AIMED_AT = 1.0, 0.3
GIVE_UP = 60.0
COMMANDS = ("hold", "release", "kill", f"--max-fails {MAX_FAILS}")


@dataclass
class Findings:
    """Seconds by command; `failed` counts the commands that gave up."""

    server: str
    rate: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)


class Trial:
    """One database, its busy pilots and the client."""

    def __init__(
        self,
        conn: psycopg.Connection,
        maker: psycopg.Connection,
        crew: pilots.Crew,
        found: Findings,
    ) -> None:
        self._conn, self._maker, self._crew, self._found = conn, maker, crew, found
        self._ana: Caller = caller(conn, crowd.OWNER)
        self._version = crowd.dataset(maker, "grid", JOBS, "/v/grid")
        self._tasks = 0

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self._hold_and_kill(self._busy_task())
        for _ in range(rounds):
            self._fail(self._busy_task())

    def _hold_and_kill(self, task: int) -> None:
        self._time("hold", lambda: actions.hold(self._conn, self._ana, task, None))
        self._time("release", lambda: actions.release(self._conn, self._ana, task))
        self._until_busy(task)
        self._time("kill", lambda: actions.kill(self._conn, self._ana, task))

    def _busy_task(self) -> int:
        """Make a task and wait until the pilots work on it."""
        self._tasks += 1
        with self._maker.transaction():
            crowd.tasks(self._maker, f"scan-{self._tasks}-", 1, JOBS, self._version, released=JOBS)
        task = int(self._one("select max(id) from task"))
        self._until_busy(task)
        return task

    def _until_busy(self, task: int) -> None:
        """Wait until every pilot's next claim is from this task."""
        done = self._done(task)
        _wait(lambda: self._done(task) >= done + 2 * PILOTS * BATCH)

    def _done(self, task: int) -> int:
        return int(self._one("select sum(done + failed) from task_count where task_id = %s", task))

    def _fail(self, task: int) -> None:
        """Let every job fail, and measure when the task is held."""
        self._maker.execute("update task set max_fails = %s where id = %s", [MAX_FAILS, task])
        failed = "select sum(failed) >= %s from task_count where task_id = %s"
        held = "select held_at is not null or ended_at is not null from task where id = %s"
        with self._crew.failing():
            _wait(lambda: self._one(failed, MAX_FAILS, task))
            self._time(COMMANDS[3], lambda: _wait(lambda: self._one(held, task)))
        actions.kill(self._conn, self._ana, task)

    def _time(self, name: str, call: Callable[[], object]) -> None:
        began = time.monotonic()
        try:
            call()
        except DatabaseUnavailable as error:
            print(f"  {name}: {error}", file=sys.stderr)
            self._found.failed[name] = self._found.failed.get(name, 0) + 1
        self._found.seconds.setdefault(name, []).append(time.monotonic() - began)

    def _one(self, statement: Any, *params: object) -> Any:
        row = self._maker.execute(statement, params).fetchone()
        assert row
        return row[0]


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + GIVE_UP
    while not condition():
        if time.monotonic() > deadline:
            raise DatabaseUnavailable(f"not within {GIVE_UP:g} s")
        time.sleep(0.01)


def run(place: Site, server: str, rounds: int) -> Findings:
    """Measure in an otherwise empty database."""
    found = Findings(server)
    with (
        pilots.conducting(place.url),
        connect(place.url, name="bench client") as conn,
        place.connect() as maker,
        pilots.busy(place.url, pilots=PILOTS, batch=BATCH) as crew,
    ):
        Trial(conn, maker, crew, found).run(rounds)
    for name in COMMANDS:
        values = found.seconds[name]
        print(
            f"  {server}, {name}: {median(values):.3f} s, worst {max(values):.3f} s",
            file=sys.stderr,
        )
    return found


def section(all_found: list[Findings], rounds: int) -> Section:
    rows = []
    for found in all_found:
        for name in COMMANDS:
            values = found.seconds[name]
            kept = verdict(max(values), AT_MOST, at_least=False)
            failed = f", {found.failed[name]} failed" if name in found.failed else ""
            rows.append((
                f"{name}, {found.server}", number(median(values)), number(max(values)),
                f"at most {AT_MOST:g} s: {kept}{failed}"
            ))  # fmt: skip
    intro = (
        f"Seconds of a command on a task while {PILOTS} simulated pilots claim and report batches of {BATCH} of its "
        "jobs at full speed, on the same processors; from the call of a connected client to its answer. "
        f"With --max-fails every job fails; the time is measured from the {MAX_FAILS}th failure until the task is "
        f"held. {rounds} rounds; Debian's PostgreSQL has its default settings."
    )
    head = ("command", "median", "worst", "bound")
    return Section("commands", "Commands next to busy pilots", intro, [(head, rows)])


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    all_found = []
    with watching() as watch:
        for server, make in (("PostgreSQL 18", site), ("PostgreSQL 15", debian_site)):
            if make is debian_site and not DEBIAN.is_dir():
                print(f"  no {DEBIAN}: tools/install-postgresql", file=sys.stderr)
                continue
            with make(args.folder) as place:
                all_found.append(run(place, server, args.rounds))
    publish(section(all_found, args.rounds), watch, args.docs)


if __name__ == "__main__":
    main()
