"""Claims and reports with all bookkeeping, by 64 simulated pilots, in a small and in a full database.

    python -m bench.claims --tasks 1000 --jobs 10000 --beside 1000000 --seconds 8

The pilots are threads in two processes; each has a connection and calls services/work, as real pilots do.
They share the two cores with PostgreSQL, so the figures are below what PostgreSQL alone could do.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench import crowd, pilots
from bench.machine import tree_seconds, watching
from bench.page import command_line, publish
from bench.site import DEBIAN, Site, debian_site, site
from bench.table import Bar, Section, median, number, verdict
from orchestra.store.driver.database import connect

PILOTS = 64
BATCHES = (64, 4)
RELEASED = 50_000
"""Jobs of one task that the conductor releases at a time."""
LOOKS = 7
"""Claims whose pages are counted: few enough for 1,000 jobs to suffice."""
AT_LEAST, GROWTH = 8_000, 1.2


@dataclass
class Findings:
    """Results of one database: jobs per second and PostgreSQL's milliseconds per job, by batch; buffers touched."""

    queued: int
    server_name: str = "PostgreSQL 18"
    ahead: int = 0
    rates: dict[int, list[float]] = field(default_factory=dict)
    server: dict[int, list[float]] = field(default_factory=dict)
    fresh: dict[int, float] = field(default_factory=dict)
    later: dict[int, float] = field(default_factory=dict)
    claims: int = 0

    @property
    def name(self) -> str:
        behind = f" behind {self.ahead:,} refused tasks" if self.ahead else ""
        return f"{self.queued:,} queued{behind}, {self.server_name}"


@contextmanager
def old_snapshot(place: Site) -> Iterator[None]:
    """Hold a snapshot open, like a dump or a forgotten session: no dead row can be vacuumed meanwhile."""
    with place.connect() as conn:
        conn.execute("begin isolation level repeatable read")
        conn.execute("select count(*) from node")
        yield
        conn.execute("rollback")


def buffers(place: Site, batch: int) -> float:
    """Return the pages that one claim touches with all of its statements and triggers, as a median.

    Over a connection as pilots have it: its statements are planned once, so what planning looks up does not count.
    """
    with connect(place.url, repeats=True) as conn, place.connect() as observer:
        pilot = pilots.pilot(conn, "bench-reader")
        pilot.report(pilot.claim(batch))  # catalogue and plans
        seen = []
        for _ in range(LOOKS):
            before = _touched(conn, observer)
            grants = pilot.claim(batch)
            seen.append(_touched(conn, observer) - before)
            pilot.report(grants)
    return median(seen) - _own_cost(place)


def _own_cost(place: Site) -> float:
    """Return the pages that the measurement itself touches."""
    with place.connect() as conn, place.connect() as observer:
        looks = [_touched(conn, observer) for _ in range(3 + LOOKS)][2:]
    return median([after - before for before, after in itertools.pairwise(looks)])


def _touched(conn: psycopg.Connection, observer: psycopg.Connection) -> int:
    conn.execute("select pg_stat_force_next_flush()")
    conn.execute("select 1")
    row = observer.execute(
        "select coalesce(sum(hits + reads), 0) from pg_stat_get_backend_io(%s)",
        [conn.info.backend_pid],
    ).fetchone()
    assert row
    return int(row[0])


def run(
    place: Site,
    queued: int,
    *,
    rounds: int,
    seconds: float,
    server_name: str = "PostgreSQL 18",
    ahead: int = 0,
) -> Findings:
    """Measure in a full database while a snapshot is held open; count pages if possible."""
    found = Findings(queued, server_name, ahead)
    counts_pages = server_name == "PostgreSQL 18" and not ahead
    with old_snapshot(place):
        if counts_pages:
            found.fresh = {batch: buffers(place, batch) for batch in BATCHES}
        if seconds:
            with pilots.conducting(place.url):
                time.sleep(1.0)
                for _ in range(rounds):
                    for batch in BATCHES:
                        _rate(place, found, batch, seconds)
            if counts_pages:
                found.later = {batch: buffers(place, batch) for batch in BATCHES}
    return found


def _rate(place: Site, found: Findings, batch: int, seconds: float) -> None:
    before = tree_seconds(place.postmaster)
    jobs, claims = pilots.rate(place.url, pilots=PILOTS, batch=batch, seconds=seconds)
    used = tree_seconds(place.postmaster) - before
    found.rates.setdefault(batch, []).append(jobs)
    found.server.setdefault(batch, []).append(used * 1000 / max(1.0, jobs * seconds))
    found.claims += round(claims * seconds)
    print(f"  {found.name}, batches of {batch}: {jobs:.0f} jobs/s", file=sys.stderr)


def fill(place: Site, count: int, jobs: int, beside: int, *, ahead: int = 0) -> int:
    """Make tasks and one large task, and return how many jobs wait.

    `ahead` of them in the order are tasks of a job that no node takes: half need too much, half may use other nodes.
    """
    began = time.monotonic()
    with place.connect() as conn:
        conn.execute("set synchronous_commit = off")
        if ahead:
            crowd.tasks(
                conn, "refused", ahead, 1, crowd.dataset(conn, "one", 1, "/v/one"), released=1
            )
            conn.execute("update task set cores = 1000 where id % 2 = 0")
            conn.execute(
                "with p as (insert into placement (nodes) values ('{elsewhere}') returning id) "
                "update task set placement_id = p.id from p where task.id % 2 = 1"
            )
        if beside:
            version = crowd.dataset(conn, "large", beside, "/v/large")
            crowd.tasks(conn, "large", 1, beside, version, released=RELEASED)
        version = crowd.dataset(conn, "grid", jobs, "/v/grid")
        crowd.tasks(conn, "scan", count, jobs, version, released=RELEASED)
        conn.execute("vacuum analyze")
        conn.execute("checkpoint")
    queued = count * min(jobs, RELEASED) + min(beside, RELEASED)
    print(f"  {queued:,} jobs queued in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return queued


def section(
    small: Findings,
    usual: Findings,
    behind: Findings,
    large: Findings,
    labs: Findings | None,
    rounds: int,
) -> Section:
    """Describe the results; `labs` are those of PostgreSQL 15 with its default settings, if it is installed."""
    every = [found for found in (usual, behind, labs, large) if found]
    rows = []
    for batch in BATCHES:
        for found in every:
            rate = median(found.rates[batch])
            bounded = batch == BATCHES[0] and found is not labs
            bound = verdict(rate, AT_LEAST, at_least=True) if bounded else ""
            rows.append(
                (
                    f"batches of {batch}, {found.name}",
                    number(rate),
                    number(median(found.server[batch])),
                    f"at least {AT_LEAST:,}: {bound}" if bound else "",
                )
            )
    pages = []
    for batch in BATCHES:
        ratio = large.fresh[batch] / small.fresh[batch]
        kept = f"at most {GROWTH} x: {verdict(ratio, GROWTH, at_least=False)}"
        pages.append(
            (
                f"claim of {batch}",
                number(small.fresh[batch]),
                number(large.fresh[batch]),
                number(ratio),
                kept,
                number(large.later[batch]),
            )
        )
    intro = (
        f"{PILOTS} simulated pilots (threads of two processes, one connection each) claim and report through "
        "services/work, with attempts, events, counts and log ends in each transaction, while a conductor runs and "
        f"a snapshot is held open; medians of {rounds} rounds. They use the same processors as PostgreSQL."
    )
    head = ("claim and report", "jobs/s", "PostgreSQL, ms per job", "bound")
    touched = (
        "pages touched", f"{small.queued:,} queued", f"{large.queued:,} queued", "ratio", "bound",
        f"after {large.claims:,} more claims",
    )  # fmt: skip
    notes = [
        f"At most {RELEASED:,} jobs of a task are queued, also of large ones; the conductor releases more.",
        "Pages are counted for the whole claim, with its triggers and counts, by PostgreSQL for its process.",
        _what_a_snapshot_costs(large),
        "PostgreSQL 15 is Debian's with its default settings, JIT included; 18 is the embedded one.",
        f"Of the {behind.ahead:,} refused tasks, one half needs more than a node has, the other may use other nodes.",
    ]
    notes += _limits(usual, large)
    bars = {
        f"claim + report, jobs per second, batches of {batch}": [
            Bar(found.name, median(found.rates[batch]), ours=True) for found in every
        ]
        for batch in BATCHES
    }
    return Section(
        "claims", "Claims and reports", intro, [(head, rows), (touched, pages)], notes, bars
    )


def _what_a_snapshot_costs(large: Findings) -> str:
    """Explain the last column."""
    much = [
        f"{number(large.later[batch] / large.fresh[batch])} x for a claim of {batch}"
        for batch in BATCHES
    ]
    return (
        "The last column shows the cost of the open snapshot, which prevents that rows of later claims are vacuumed. A "
        "claim starts at its task's claim cursor, so it walks only past the latest of them: "
        f"{', '.join(much)}."
    )


def _limits(usual: Findings, large: Findings) -> list[str]:
    """Explain what limits the result, if the bound is missed."""
    batch = BATCHES[0]
    slowest = min((usual, large), key=lambda found: median(found.rates[batch]))
    if median(slowest.rates[batch]) >= AT_LEAST:
        return []
    cost = median(slowest.server[batch])
    limit = (
        f"The limit is the two processors. A claim and a report write a job's row twice, its attempt twice and an "
        f"event, with nine index entries: {number(cost)} ms of PostgreSQL per job. The Python of the simulated pilots "
        f"uses the same processors; alone on both, PostgreSQL would do {number(2000 / cost)} jobs/s."
    )
    small = median(usual.server[batch])
    if cost > small * 1.25:
        limit += (
            f" With {usual.queued:,} queued it is {number(small)} ms; with {large.queued:,} the conductor hands out "
            "jobs of the large task meanwhile, and writes the row of each once more for that."
        )
    way = (
        "It would take pilots on their own machines, as real ones are, or a claim that writes an attempt and no job "
        "row, which would need another way to know the claimable jobs."
    )
    return [limit, way]


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=10_000, help="of each task")
    parser.add_argument("--beside", type=int, default=1_000_000, help="jobs of one more task")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6, help="of each round and batch")
    args = parser.parse_args()
    options: dict[str, Any] = {"rounds": args.rounds, "seconds": args.seconds}
    with watching() as watch:
        with site(args.folder) as place:
            small = run(place, fill(place, 1, 1000, 0), rounds=0, seconds=0)
        with site(args.folder) as place:
            usual = run(place, fill(place, 20, 10_000, 0), **options)
        with site(args.folder) as place:
            queued = fill(place, 20, 10_000, 0, ahead=1000)
            behind = run(place, queued, ahead=1000, **options)
        labs = None
        if DEBIAN.is_dir():
            with debian_site(args.folder) as place:
                queued = fill(place, 20, 10_000, 0)
                labs = run(place, queued, server_name="PostgreSQL 15", **options)
        with site(args.folder) as place:
            large = run(place, fill(place, args.tasks, args.jobs, args.beside), **options)
    publish(section(small, usual, behind, large, labs, args.rounds), watch, args.docs)


if __name__ == "__main__":
    main()
