"""The cost of an idle pilot, and the time until the death of one is noticed.

python -m bench.idle --seconds 60
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from bench.machine import cpu_seconds, memory, watching
from bench.page import command_line, publish
from bench.site import Site, site
from bench.table import Section, Table, number, verdict

SHARE, MEGABYTES = 0.2, 80.0
OFFLINE, REPLACED = 60.0, 5.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Percent of a core, and megabytes: its share of the memory (PSS), and with all that is shared (RSS)."""

    share: float
    pss: float
    rss: float


def costs(pids: dict[str, list[int]], seconds: float) -> dict[str, Cost]:
    """Watch processes for a while and return the cost of each group."""
    before = {group_name: sum(map(cpu_seconds, group)) for group_name, group in pids.items()}
    time.sleep(seconds)
    found = {}
    for group_name, group in pids.items():
        used = sum(map(cpu_seconds, group)) - before[group_name]
        sizes = [memory(pid) for pid in group]
        pss, rss = (sum(column) / 2**20 for column in zip(*sizes, strict=True))
        found[group_name] = Cost(used / seconds * 100, pss, rss)
    return found


def absence(conn: psycopg.Connection, agent: int, patience: float = 90.0) -> tuple[float, float]:
    """Kill the conductor's pilot; return the seconds until another one takes over, and until the node is offline."""
    before = _value(conn, "select term from leader where duty = 'conductor'")
    os.kill(agent, signal.SIGKILL)
    began = time.monotonic()
    replaced = "select term > %s and expires > now() from leader where duty = 'conductor'"
    online = "select p.gone_at is null and p.seen_at > now() - interval '60 seconds' from pilot p where p.pid = %s"
    first = _until(lambda: bool(_value(conn, replaced, before)), began, patience)
    second = _until(lambda: not _value(conn, online, agent), began, patience)
    return first, second


def _until(happened: Callable[[], bool], began: float, patience: float) -> float:
    while time.monotonic() < began + patience:
        if happened():
            return time.monotonic() - began
        time.sleep(0.02)
    return float("nan")


def _value(conn: psycopg.Connection, statement: str, *params: object) -> int:
    row = conn.execute(statement.encode(), params).fetchone()
    assert row
    return int(row[0])


def measure(place: Site, seconds: float) -> tuple[dict[str, Cost], float, float]:
    """Measure the cost of two pilots, one of them the conductor, then kill that one."""
    with (
        place.pilot("conducting") as first,
        place.pilot("waiting") as second,
        place.connect() as conn,
    ):
        time.sleep(5.0)  # everything that follows the start is over
        row = conn.execute("select holder_name from leader where duty = 'conductor'").fetchone()
        holder = first if row and row[0] == "conducting" else second
        other = second if holder == first else first
        groups = {
            "a pilot (agent and keeper)": [other, place.keeper(other)],
            "a pilot that is the conductor, too": [holder, place.keeper(holder)],
        }
        return costs(groups, seconds), *absence(conn, holder)


def _noticed(what: str, seconds: float, bound: float) -> tuple[str, str, str]:
    kept = verdict(seconds, bound, at_least=False)
    return what, number(seconds), f"at most {bound:.0f} s: {kept}"


def section(found: dict[str, Cost], replaced: float, offline: float, seconds: float) -> Section:
    rows = []
    for group_name, cost in found.items():
        both = cost.share <= SHARE and cost.pss <= MEGABYTES
        kept = f"at most {SHARE} %, {MEGABYTES:.0f} MB: {verdict(both, 1, at_least=True)}"
        rows.append((group_name, number(cost.share), number(cost.pss), number(cost.rss), kept))
    noticed = [
        _noticed("another process is the conductor", replaced, REPLACED),
        _noticed("its node is shown as offline", offline, OFFLINE),
    ]
    intro = (
        f"Two idle pilots on one machine, each with its keeper, measured for {seconds:.0f} s. Then the one that is the "
        "conductor is killed with -9. PSS counts shared memory once, RSS counts it in each process."
    )
    tables: list[Table] = [
        (("idle", "% of a core", "MB (PSS)", "MB (RSS)", "bound"), rows),
        (("after kill -9 of a pilot", "s", "bound"), noticed),
    ]
    return Section("idle", "Idle pilots and dead pilots", intro, tables)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    with site(args.folder) as place, watching() as watch:
        found, replaced, offline = measure(place, args.seconds)
    publish(section(found, replaced, offline, args.seconds), watch, args.docs)


if __name__ == "__main__":
    main()
