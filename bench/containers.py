"""The cost of a job in a container: the start time of each runtime, and what Orchestra adds to it.

    python -m bench.containers --jobs 40 --rounds 5

The image is busybox alone, made here. What a machine lacks is left out. The contenders take turns.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bench.machine import watching
from bench.page import command_line, publish
from bench.site import Site, site
from bench.table import Section, Table, median, number, spread, verdict
from bench.throughput import Shares, run_task
from orchestra.runtimes import Runtime, RuntimeJob
from orchestra.runtimes.bare import BareRuntime, find_shell
from orchestra.runtimes.discovery import find_runtimes

ADDED_MS = 5.0
IMAGE = "localhost/orchestra-bench/busybox:latest"
# This needs few rights, and Debian's crun fails on cgroups of both versions.
_CONTAINERS = """\
[containers]
netns = "host"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{0}/tmp"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{0}/storage"
runroot = "{0}/run"
"""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to start `true`.

    Args:
        command: the runtime's own, with nothing that it does not need.
        ours: the argument list and the environment that Orchestra starts a job with.
    """

    name: str
    command: tuple[str, ...]
    ours: tuple[str, ...]
    env: dict[str, str]


@dataclass
class Images:
    """One root file system, in the format of each runtime."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def sandbox(self) -> Path:
        root = self.folder / "busybox"
        if not root.exists():
            for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "var/tmp"):
                (root / name).mkdir(parents=True)
            program = shutil.which("busybox")
            assert program
            shutil.copy(program, root / "bin/busybox")
            for name in ("sh", "true", "mkdir"):
                (root / "bin" / name).symlink_to("busybox")
        return root

    def sif(self) -> Path:
        image = self.folder / "busybox.sif"
        if not image.exists():
            _run(["apptainer", "--quiet", "build", str(image), str(self.sandbox())])
        return image

    def podman(self) -> str:
        own = self.folder / "podman"
        own.mkdir()
        (own / "containers.conf").write_text(_CONTAINERS.format(own))
        (own / "storage.conf").write_text(_STORAGE.format(own))
        self.env["CONTAINERS_CONF"] = str(own / "containers.conf")
        self.env["CONTAINERS_STORAGE_CONF"] = str(own / "storage.conf")
        archive = self.folder / "busybox.tar"
        _run(["tar", "-C", str(self.sandbox()), "-cf", str(archive), "."])
        _run(["podman", "import", "--quiet", str(archive), IMAGE], self.env)
        return IMAGE


def _run(command: list[str], env: dict[str, str] | None = None) -> None:
    subprocess.run(
        command, check=True, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL
    )


def ways(images: Images, out: Path) -> list[Way]:
    """Return the ways that work on this machine."""
    found = {runtime.name: runtime for runtime in find_runtimes(None, os.environ)}
    bare = BareRuntime(find_shell())
    all_ways = [_way("no container", ("/bin/sh", "-c", "true"), bare, None, images, out)]
    if apptainer := found.get("apptainer"):
        program = apptainer.program
        for name, image in (("SIF", images.sif()), ("sandbox folder", images.sandbox())):
            command = (program, "exec", str(image), "true")
            label = f"Apptainer {apptainer.version}, {name}"
            all_ways.append(_way(label, command, apptainer, str(image), images, out))
    if podman := found.get("podman"):
        stored = images.podman()
        run = (podman.program, "run", "--rm", stored, "true")
        label = f"podman {podman.version}"
        all_ways.append(_way(label, run, podman, f"docker://{stored}", images, out))
    return all_ways


def _way(
    name: str,
    command: tuple[str, ...],
    runtime: Runtime,
    image: str | None,
    images: Images,
    out: Path,
) -> Way:
    host = {**os.environ, **images.env}
    words = RuntimeJob(
        "true", PurePosixPath(out), {"ORCHESTRA_OUT": str(out)}, host, image=image, token="bench"
    )
    env = {**host, **runtime.environment(words)}
    return Way(name, command, tuple(runtime.argv(words)), env)


def milliseconds(command: tuple[str, ...], env: dict[str, str]) -> float:
    """Run a command to its end, and return how long it took."""
    began = time.perf_counter()
    subprocess.run(command, check=True, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - began) * 1000


def start_times(found: list[Way], rounds: int) -> list[tuple[str, list[float], list[float]]]:
    """Let the ways take turns; return for each the times of its own command and of Orchestra's."""
    times: list[tuple[str, list[float], list[float]]] = [(way.name, [], []) for way in found]
    for _ in range(rounds):
        for way, (_, plain, ours) in zip(found, times, strict=True):
            plain.append(milliseconds(way.command, way.env))
            ours.append(milliseconds(way.ours, way.env))
    return times


def loop(command: tuple[str, ...], jobs: int, folder: Path) -> float:
    """Run a command repeatedly, each time with a folder and a log; return the milliseconds of one run."""
    folder.mkdir(parents=True)
    began = time.perf_counter()
    for n in range(jobs):
        own = folder / str(n)
        own.mkdir()
        with (own / "job.log").open("wb") as log:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    return (time.perf_counter() - began) * 1000 / jobs


def through_pilot(
    place: Site, config: str, data: str, name: str, more: tuple[object, ...]
) -> float:
    """Run a task in a container and return the milliseconds from the start of one job to that of the next.

    The jobs note when they begin, since a pilot tells the database of many at once.
    """
    run_task(place, config, data, name, more=more, job=": > %OUT/began; : %DATA %IN")
    began = [
        file.stat().st_mtime_ns
        for file in (place.volume / f"user.ana.{name}").glob("job_configId_*/began")
    ]
    return (max(began) - min(began)) / 1e6 / (len(began) - 1)


def added(
    place: Site, sif: Path, jobs: int, rounds: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Let the contenders take turns, all through one slot, one job after the other.

    Returns the milliseconds per job of each round, and the processor milliseconds of an Orchestra job by process.
    """
    program = shutil.which("apptainer")
    assert program
    data, config = place.files("input", 1), place.files("grid", jobs)
    bare = (program, "exec", str(sif), "true")
    with_pid = (program, "exec", "--pid", str(sif), "true")
    loops = place.folder / "loops"
    turns: dict[str, Callable[[str], float]] = {
        "apptainer exec": lambda turn: loop(bare, jobs, loops / turn),
        "apptainer exec --pid": lambda turn: loop(with_pid, jobs, loops / f"{turn}-pid"),
        OURS: lambda turn: through_pilot(place, config, data, turn, more),
    }
    figures: dict[str, list[float]] = {name: [] for name in turns}
    more = ("--containerImage", sif)
    with place.pilot(slots=1) as agent:
        shares = Shares(place, agent, place.keeper(agent))
        run_task(place, config, data, "warm", more=more)
        for turn in range(rounds):
            names = list(turns)
            for name in names[turn % 3 :] + names[: turn % 3]:
                with shares.counting() if name == OURS else nullcontext():
                    figures[name].append(turns[name](f"round{turn}"))
                print(f"  round {turn + 1}, {name}: {figures[name][-1]:.1f} ms", file=sys.stderr)
    return figures, {who: used * 1000 / jobs / rounds for who, used in shares.used.items()}


OURS = "Orchestra, the same image"


def section(
    times: list[tuple[str, list[float], list[float]]],
    figures: dict[str, list[float]],
    shares: dict[str, float],
    jobs: int,
    rounds: int,
) -> Section:
    starts = [
        (name, number(median(plain)), spread(plain), number(median(ours)), spread(ours))
        for name, plain, ours in times
    ]
    head = (
        "start of `true`",
        "its own command, ms",
        "lowest to highest",
        "as a job, ms",
        "lowest to highest",
    )
    tables: list[Table] = [(head, starts)]
    if figures:
        job_head = (
            "one slot, a SIF",
            "ms per job",
            "lowest to highest",
            "Orchestra adds, ms",
            f"at most {ADDED_MS:g} ms",
        )
        tables.append((job_head, [_job_row(name, figures) for name in figures]))
        used = [(who, number(cost)) for who, cost in shares.items()]
        tables.append((("processor time of a job in a SIF", "ms"), used))
    intro = (
        "A busybox image, with the runtimes that this machine has. *Its own command* is `apptainer exec IMAGE true` or "
        "`podman run --rm IMAGE true`; *as a job* is the command line that a pilot starts, with a PID namespace, the "
        "job's shell and variables. The second table shows whole jobs one after the other, from the start of one to "
        f"the start of the next: {jobs} per round, {rounds} rounds, with a folder and a log each. Only Orchestra "
        "stores their states in PostgreSQL, on the same processors."
    )
    return Section("containers", "Jobs in containers", intro, tables)


def _job_row(name: str, figures: dict[str, list[float]]) -> tuple[str, ...]:
    values = figures[name]
    row = (name, number(median(values)), spread(values))
    if name == OURS:
        return (*row, "", "")
    # Per round, since both contenders met the same conditions within a round.
    more = median([ours - bare for ours, bare in zip(figures[OURS], values, strict=True)])
    return (*row, number(more), verdict(more, ADDED_MS, at_least=False))


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=20, help="of each runtime")
    args = parser.parse_args()
    if not shutil.which("busybox"):
        print(
            "there is no busybox to make an image of (make containers installs it)", file=sys.stderr
        )
        return
    with site(args.folder) as place, watching() as watch:
        images, out = Images(place.folder), place.folder / "out"
        out.mkdir()
        times = start_times(ways(images, out), args.starts)
        figures: dict[str, list[float]] = {}
        shares: dict[str, float] = {}
        if shutil.which("apptainer"):
            figures, shares = added(place, images.sif(), args.jobs, args.rounds)
    publish(section(times, figures, shares, args.jobs, args.rounds), watch, args.docs)


if __name__ == "__main__":
    main()
