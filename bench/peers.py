"""Other programs that run many small processes. Each returns jobs per second, from its first start to its last outcome.

`python -m bench.peers NAME JOBS FOLDER` runs one of them in a process of its own and prints the figure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

SLOTS = 2
COMMAND = ("/bin/sh", "-c", "true")


def posix_spawn(jobs: int, folder: Path, command: tuple[str, ...] = COMMAND) -> float:
    """A bare loop: a folder and a log each, its own session, two at a time."""
    began = time.monotonic()
    alive = 0
    for n in range(jobs):
        if alive == SLOTS:
            os.wait4(-1, 0)
            alive -= 1
        own = folder / str(n)
        own.mkdir()
        log = os.open(own / "job.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        os.posix_spawn(
            command[0],
            [word.replace("%OUT", str(own)) for word in command],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, log, number) for number in (1, 2)],
            setsid=True,
        )
        os.close(log)
        alive += 1
    while alive:
        os.wait4(-1, 0)
        alive -= 1
    return jobs / (time.monotonic() - began)


def same_shell(jobs: int, folder: Path) -> float:
    """The same, with the shell and the arguments of an Orchestra job."""
    from orchestra.runtimes import RuntimeJob
    from orchestra.runtimes.bare import BareRuntime, find_shell

    job = RuntimeJob("true %OUT/data %OUT/config %OUT", PurePosixPath("/%OUT"))
    shell, option, line = BareRuntime(find_shell()).argv(job)
    return posix_spawn(jobs, folder, (shell, option, line.replace("/%OUT", "%OUT")))


def hyperqueue(jobs: int, folder: Path) -> float:
    """HyperQueue's own server and worker, with the output files that it writes by default."""
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    with LocalCluster(str(folder / "server"), WorkerConfig(cores=SLOTS)) as cluster:
        client = cluster.client()
        warm = Job(default_workdir=folder)
        warm.program(list(COMMAND))
        client.wait_for_jobs([client.submit(warm)])
        job = Job(default_workdir=folder)
        for _ in range(jobs):
            job.program(list(COMMAND))
        folder.joinpath("0.stdout").unlink()  # of the warm-up job
        client.wait_for_jobs([client.submit(job)])
    # Its client polls once a second, so the logs show when jobs began.
    starts = [entry.stat().st_mtime for entry in folder.glob("*.stdout")]
    return (jobs - 1) / (max(starts) - min(starts))


def gnu_parallel(jobs: int, folder: Path) -> float:
    """GNU parallel with its log of jobs and a folder of results for each."""
    began = time.monotonic()
    numbers = "\n".join(map(str, range(jobs)))
    words = ["parallel", "--will-cite", "-j", str(SLOTS), "--joblog", str(folder / "joblog")]
    words += ["--results", str(folder / "results"), "sh -c true #"]
    subprocess.run(words, input=numbers, text=True, check=True, stdout=subprocess.DEVNULL)
    return jobs / (time.monotonic() - began)


def _dask_job(folder: str) -> int:
    Path(folder).mkdir()
    with Path(folder, "job.log").open("wb") as log:
        return subprocess.run(COMMAND, stdout=log, stderr=log, check=True).returncode


def dask(jobs: int, folder: Path) -> float:
    """Dask distributed, two worker processes that start subprocesses."""
    from distributed import Client, LocalCluster

    options = {"n_workers": SLOTS, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options, local_directory=str(folder)) as cluster, Client(cluster) as client:
        client.gather(client.map(_dask_job, [str(folder / f"warm{n}") for n in range(SLOTS)]))
        began = time.monotonic()
        client.gather(client.map(_dask_job, [str(folder / str(n)) for n in range(jobs)]))
        return jobs / (time.monotonic() - began)


PEERS: dict[str, Callable[[int, Path], float]] = {
    "posix_spawn": posix_spawn,
    "posix_spawn, our shell": same_shell,
    "HyperQueue": hyperqueue,
    "GNU parallel": gnu_parallel,
    "Dask distributed": dask,
}


def installed() -> list[str]:
    """Return the peers that are installed."""
    missing = set()
    if not find_spec("hyperqueue"):
        missing.add("HyperQueue")
    if not find_spec("distributed"):
        missing.add("Dask distributed")
    if not shutil.which("parallel"):
        missing.add("GNU parallel")
    return [name for name in PEERS if name not in missing]


def measure(name: str, jobs: int, folder: Path) -> float:
    """Run a peer in its own process, and return jobs per second."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "bench.peers", name, str(jobs), str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    print(PEERS[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3])))
