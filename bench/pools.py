"""The same jobs as an array of Slurm, with HyperQueue's automatic allocation and with a pool, on a real Slurm.

    python -m bench pools
    python -m bench.pools --no-ops 100 --jobs 32 --only array,pool

Where no Slurm can be started, it says so and measures nothing.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.machine import watching
from bench.page import command_line, publish
from bench.pool_report import ARRAY, HYPERQUEUE, NO_OPS, POOL, SLEEPS, Run, Work, section
from bench.site import PROGRAM, Site, site
from bench.slurm import CPUS, NODES, Slurm, missing, slurm


@dataclass(frozen=True, slots=True)
class Times:
    """When some work was submitted, its first job began, and the outcome of its last one was known."""

    submitted: float
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender does some work: a cluster of its own, whose nodes see the folder.

    Args:
        stack: ends what the contender leaves, once its nodes have been given back.
        idle: seconds after which an idle node is given back; None for the contender's own default.
    """

    cluster: Slurm
    folder: Path
    stack: ExitStack
    idle: float | None


def array(place: Place, work: Work) -> Times:
    """One `sbatch` for all jobs, each with one CPU; Slurm's own times, to the second."""
    script = place.folder / "array.sh"
    script.write_text(f"#!/bin/sh\n{work.command}\n")
    submitted = time.time()
    place.cluster.run("sbatch", f"--array=0-{work.jobs - 1}", "--output=/dev/null", str(script))
    place.cluster.wait_until_empty()
    held = place.cluster.held()
    return Times(submitted, min(each.began for each in held), max(each.ended for each in held))


def hyperqueue(place: Place, work: Work) -> Times:
    """HyperQueue's server, which requests its workers from Slurm."""
    words = (place.folder, work.jobs, work.seconds, f"--backlog={NODES}")
    idle = () if place.idle is None else (f"--idle={place.idle:g}",)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.autoalloc", *map(str, words), *idle],
        env=place.cluster.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    place.stack.callback(process.communicate, timeout=30)  # it leaves when its standard input ends
    assert process.stdout
    return Times(**next(json.loads(line) for line in process.stdout if line.startswith("{")))


def pool(place: Place, work: Work) -> Times:
    """A task on a pool; the database's times."""
    found = place.stack.enter_context(site(place.folder, variables=place.cluster.environment))
    place.stack.enter_context(running_pool(found, place.idle))
    config, data = found.files("grid", work.jobs), found.files("input", 1)
    command = (
        "--exec",
        f"{work.command}; : %DATA %IN %OUT",
        "--test-jobs",
        0,
        "-t",
        "user.ana.work",
    )
    submitted = time.time()
    found.maestro("task", "create", "-c", config, "-d", data, *command)
    _wait_until_done(found, work.jobs * (work.seconds + 1))
    with found.connect() as conn:
        row = conn.execute(
            "select extract(epoch from (select min(started_at) from attempt)), "
            "extract(epoch from (select max(at) from event where kind = 'job'))"
        ).fetchone()
    assert row
    return Times(submitted, float(row[0]), float(row[1]))


@contextmanager
def running_pool(place: Site, idle: float | None) -> Iterator[None]:
    """Make a pool and keep the process that submits its pilots."""
    options = ["--cpus", CPUS, "--max-pilots", NODES, "--max-pending", NODES, "--walltime", "1h"]
    options += [] if idle is None else ["--idle", f"{idle:g}s"]
    place.maestro("pool", "create", "slurm", "--engine", "slurm", *options)
    with (place.folder / "pool.log").open("ab") as log:
        process = subprocess.Popen(
            [*PROGRAM, "pool", "run", "slurm"],
            env=place.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait_until_done(place: Site, patience: float) -> None:
    deadline = time.monotonic() + patience
    with place.connect() as conn:
        while True:
            row = conn.execute("select state::text from task").fetchone()
            if row == ("DONE",):
                return
            if time.monotonic() > deadline or row not in {("REGISTERED",), ("RUNNING",)}:
                said = (place.folder / "pool.log").read_text(errors="replace")[-2000:]
                raise TimeoutError(
                    f"the task is {row} after {patience:.0f} s; its pool said:\n{said}"
                )
            time.sleep(0.2)


CONTENDERS: Mapping[str, Callable[[Place, Work], Times]] = {
    ARRAY: array,
    HYPERQUEUE: hyperqueue,
    POOL: pool,
}


def measure(
    folder: Path, works: Mapping[str, Work], names: Set[str], idle: float | None
) -> dict[str, dict[str, Run]]:
    """Let the contenders do each work, one after the other.

    Each has a cluster of its own, so that the next one need not wait until all idle nodes have been given back.
    """
    with ExitStack() as stack:
        done: list[tuple[str, str, Work, Slurm, Times]] = []
        for name in (name for name in CONTENDERS if name in names):
            for kind, work in works.items():
                own = folder / f"{len(done)}"
                own.mkdir()
                place = Place(stack.enter_context(slurm(own)), own, stack, idle)
                times = CONTENDERS[name](place, work)
                print(
                    f"  {name}, {work.jobs} x {work.command}: {times.ended - times.submitted:.1f} s",
                    file=sys.stderr,
                )
                done.append((name, kind, work, place.cluster, times))
        found: dict[str, dict[str, Run]] = {name: {} for name, *_ in done}
        for name, kind, work, cluster, times in done:
            cluster.wait_until_empty()
            held = tuple(cluster.held())
            found[name][kind] = Run(
                work, times.submitted, times.began, times.ended, held, cluster.calls()
            )
        return found


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    parser = command_line(__doc__)
    parser.add_argument("--no-ops", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument(
        "--idle",
        type=float,
        help="seconds until idle nodes are given back (by default each as usual)",
    )
    parser.add_argument(
        "--only", default="array,hyperqueue,pool", help="of array, hyperqueue, pool"
    )
    args = parser.parse_args()
    if why := missing():
        print(f"  left out: {why}", file=sys.stderr)
        return
    by_word = {"array": ARRAY, "hyperqueue": HYPERQUEUE, "pool": POOL}
    names = {by_word[word] for word in args.only.split(",")}
    if not find_spec("hyperqueue"):
        names.discard(HYPERQUEUE)
    works = {NO_OPS: Work(args.no_ops, 0.0), SLEEPS: Work(args.jobs, args.seconds)}
    folder = Path(tempfile.mkdtemp(prefix="orchestra-bench-", dir=args.folder))
    try:
        folder.chmod(0o711)
        with watching() as watch:
            found = measure(folder, works, names, args.idle)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    publish(section(found, works, args.idle), watch, args.docs)


if __name__ == "__main__":
    main()
