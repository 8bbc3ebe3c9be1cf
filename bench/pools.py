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
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bench.machine import watching
from bench.page import command_line, publish
from bench.pool_report import ARRAY, HYPERQUEUE, IDLE, NO_OPS, POOL, SLEEPS, Run, Work, section
from bench.site import PROGRAM, Site, site
from bench.slurm import CPUS, NODES, Slurm, missing, slurm


def array(cluster: Slurm, folder: Path, work: Work) -> Run:
    """One `sbatch` for all jobs, each with one CPU; Slurm's own times, to the second."""
    before, calls, submitted = cluster.last(), cluster.calls(), time.time()
    script = folder / "array.sh"
    script.write_text(f"#!/bin/sh\n{work.command}\n")
    cluster.run("sbatch", f"--array=0-{work.jobs - 1}", "--output=/dev/null", str(script))
    cluster.wait_until_empty()
    held = tuple(cluster.held(before))
    ended = max(each.ended for each in held)
    return Run(
        work, submitted, min(each.began for each in held), ended, held, cluster.calls() - calls
    )


def hyperqueue(cluster: Slurm, folder: Path, work: Work) -> Run:
    """HyperQueue's server, which requests its workers from Slurm."""
    before, calls = cluster.last(), cluster.calls()
    words = [sys.executable, "-m", "bench.autoalloc", folder, work.jobs, work.seconds]
    process = subprocess.Popen(
        [*map(str, words), f"--idle={IDLE:g}", f"--backlog={NODES}"],
        env=cluster.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        times = next(json.loads(line) for line in process.stdout if line.startswith("{"))
        cluster.wait_until_empty()
    finally:
        process.stdin.close()
        process.wait(30)
    held = tuple(cluster.held(before))
    return Run(
        work, times["submitted"], times["began"], times["ended"], held, cluster.calls() - calls
    )


@contextmanager
def running_pool(place: Site) -> Iterator[None]:
    """Make a pool and keep the process that submits its pilots."""
    options = (
        "--cpus",
        CPUS,
        "--max-pilots",
        NODES,
        "--max-pending",
        NODES,
        "--idle",
        f"{IDLE:g}s",
    )
    place.maestro("pool", "create", "slurm", "--engine", "slurm", "--walltime", "1h", *options)
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
        process.send_signal(signal.SIGINT)
        process.wait(60)


def pool(cluster: Slurm, place: Site, work: Work) -> Run:
    """A task on a pool; the database's times."""
    name = f"sleep{work.seconds:g}"
    config, data = place.files(f"grid-{name}", work.jobs), place.files(f"input-{name}", 1)
    before, calls, submitted = cluster.last(), cluster.calls(), time.time()
    job = f"{work.command}; : %DATA %IN %OUT"
    place.maestro(
        "task",
        "create",
        "-c",
        config,
        "-d",
        data,
        "--exec",
        job,
        "--test-jobs",
        0,
        "-t",
        f"user.ana.{name}",
    )
    _wait_until_done(place, f"user.ana.{name}", work.jobs * (work.seconds + 1))
    cluster.wait_until_empty()
    with place.connect() as conn:
        row = conn.execute(
            "select extract(epoch from min(a.started_at)), extract(epoch from max(e.at)) "
            "from task t join attempt a on a.task_id = t.id join event e on e.task_id = t.id and e.kind = 'job' "
            "where t.name = %s",
            [f"user.ana.{name}"],
        ).fetchone()
    assert row
    held = tuple(cluster.held(before))
    return Run(work, submitted, float(row[0]), float(row[1]), held, cluster.calls() - calls)


def _wait_until_done(place: Site, task: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    with place.connect() as conn:
        while True:
            row = conn.execute("select state::text from task where name = %s", [task]).fetchone()
            if row == ("DONE",):
                return
            if time.monotonic() > deadline or row not in {("REGISTERED",), ("RUNNING",)}:
                said = (place.folder / "pool.log").read_text(errors="replace")[-2000:]
                raise TimeoutError(
                    f"the task {task} is {row} after {patience:.0f} s; the pool said:\n{said}"
                )
            time.sleep(0.2)


Contender = Callable[[Slurm, Path, Work], Run]
PEERS: Mapping[str, Contender] = {ARRAY: array, HYPERQUEUE: hyperqueue}


def measure(folder: Path, works: Mapping[str, Work], names: Set[str]) -> dict[str, dict[str, Run]]:
    """Let the contenders do each work, one after the other, on one cluster."""
    found: dict[str, dict[str, Run]] = {}
    with slurm(folder) as cluster:
        for name in (name for name in PEERS if name in names):
            found[name] = {}
            for kind, work in works.items():
                own = folder / f"{name}-{kind}".replace(" ", "-")
                own.mkdir()
                found[name][kind] = _told(name, PEERS[name](cluster, own, work))
        if POOL in names:
            with site(folder, variables=cluster.environment) as place, running_pool(place):
                found[POOL] = {
                    kind: _told(POOL, pool(cluster, place, work)) for kind, work in works.items()
                }
    return found


def _told(name: str, run: Run) -> Run:
    print(
        f"  {name}, {run.work.jobs} x {run.work.command}: {run.makespan:.1f} s, {run.rate:.1f} jobs/s, "
        f"{run.sbatches} sbatch, {run.pilot_hours * 3600:.0f} s of nodes for {run.used * 3600:.0f} s of jobs",
        file=sys.stderr,
    )
    return run


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--no-ops", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
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
            found = measure(folder, works, names)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    publish(section(found, works), watch, args.docs)


if __name__ == "__main__":
    main()
