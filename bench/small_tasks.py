"""Many tasks of one short job each on a node with many slots: how long until all are done.

    python -m bench.small_tasks --tasks 60 --slots 32

On Orchestra's own PostgreSQL, and on Debian's with its default settings where that is installed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from bench.machine import watching
from bench.page import command_line, publish
from bench.site import DEBIAN, Site, caller, debian_site, site
from bench.table import Section, median, number, spread, verdict
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Policy
from orchestra.services.tasks import creation

JOB_SECONDS = 2.0
FACTOR = 3.0
"""The bound, as a multiple of the minimum: starts and tests take time, and the processors are few."""


def once(place: Site, tasks: int, turn: int) -> float:
    """Make held tasks, release them, and return the seconds until the last one has ended."""
    with place.connect() as conn:
        ana = caller(conn)
        conn.execute("update node set drained_at = now(), drained_by = 'bench'")
        for n in range(tasks):
            new = NewTask(
                name=f"user.ana.small{turn}-{n}",
                command=f"sleep {JOB_SECONDS:.0f}; : %DATA %IN %OUT",
                config="user.ana.grid",
                data="user.ana.input",
                volume=str(place.volume),
                account="root",
                host="bench",
                policy=Policy(),
            )
            creation.create(conn, creation.plan(conn, ana, new))
        _wait(place, "state <> 'REGISTERED'")  # the conductor has handed out all of them
        began = time.monotonic()
        conn.execute("update node set drained_at = null, drained_by = null")
        conn.execute("select pg_notify('orchestra_node', ''), pg_notify('orchestra_cpu', '')")
        _wait(place, "state = 'DONE'")
        return time.monotonic() - began


def _wait(place: Site, condition: str, patience: float = 300.0) -> None:
    deadline = time.monotonic() + patience
    with place.connect() as conn:
        while time.monotonic() < deadline:
            left = conn.execute(f"select count(*) from task where not ({condition})").fetchone()
            if left == (0,):
                return
            time.sleep(0.05)
    raise TimeoutError(f"after {patience:.0f} s not every task has {condition}")


def measure(place: Site, tasks: int, slots: int, rounds: int) -> list[float]:
    place.files("input", 1)
    place.files("grid", 1)
    found = []
    with place.pilot(slots=slots):
        for turn in range(rounds):
            found.append(once(place, tasks, turn))
            print(f"  round {turn + 1}: {found[-1]:.1f} s", file=sys.stderr)
    return found


def section(found: Mapping[str, list[float]], tasks: int, slots: int, rounds: int) -> Section:
    least = -(-tasks // slots) * JOB_SECONDS
    limit = least * FACTOR
    rows = [
        (
            server,
            number(median(seconds)),
            spread(seconds),
            f"{least:.0f}",
            f"at most {limit:.0f} s: {verdict(median(seconds), limit, at_least=False)}",
        )
        for server, seconds in found.items()
    ]
    head = ("", "s", "lowest to highest", "minimum", "bound")
    intro = (
        f"{tasks} tasks of one job of {JOB_SECONDS:.0f} s each on {slots} slots, all of them waiting when the node "
        f"starts; from then to the end of the last one, medians of {rounds} rounds. A node that checked only the first "
        "16 tasks, and then waited 30 s for its next check, took 90 s."
    )
    return Section("small-tasks", "Many small tasks", intro, [(head, rows)])


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    found: dict[str, list[float]] = {}
    with watching() as watch:
        for server, make in (("PostgreSQL 18", site), ("PostgreSQL 15", debian_site)):
            if make is debian_site and not DEBIAN.is_dir():
                print(f"  no {DEBIAN}: tools/install-postgresql", file=sys.stderr)
                continue
            with make(args.folder) as place:
                print(f"  {server}", file=sys.stderr)
                found[server] = measure(place, args.tasks, args.slots, args.rounds)
    publish(section(found, args.tasks, args.slots, args.rounds), watch, args.docs)


if __name__ == "__main__":
    main()
