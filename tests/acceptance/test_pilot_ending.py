"""Jobs that do all they can to outlive their end: killed, timed out and stopped, they leave nothing behind."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, TaskState
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle
from support.cluster import Cluster
from support.people import as_admin
from support.processes import lives
from support.waiting import wait_until

RUNNING = JobState.RUNNING

ATTACK = """
import os, signal, sys, time

def deaf():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)

def note(name):
    with open(os.path.join(PIDS, name), "a") as file:
        file.write(f"{os.getpid()}\\n")

if __name__ == "__main__":
    PIDS, how = sys.argv[1:]
    if how == "stay":
        deaf()
        note("leader")
        for way in ("child", "session", "daemon", "bare", "far", "hopper"):
            if os.fork() == 0:
                os.execve(sys.executable, [sys.executable, __file__, PIDS, way], dict(os.environ))
        while True:
            signal.pause()
    if how in ("session", "daemon", "bare", "far", "hopper"):
        os.setsid()
    if how in ("daemon", "bare", "far", "hopper") and os.fork():
        os._exit(0)
    if how == "far":
        os.chdir("/")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
    if how in ("bare", "far"):
        os.execve(sys.executable, [sys.executable, __file__, PIDS, how + " gone"], {})
    deaf()
    note(how)
    while how == "hopper":
        time.sleep(0.003)
        if os.fork():
            os._exit(0)
        os.setsid()
        note(how)
    while True:
        signal.pause()
"""
WAYS = {"leader", "child", "session", "daemon", "bare gone", "far gone", "hopper"}


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """Where each process of an attack notes its pid under its way to escape."""
    folder = tmp_path / "pids"
    folder.mkdir()
    yield folder
    for _, pid in alive(folder):
        os.kill(pid, 9)


def alive(pids: Path) -> list[tuple[str, int]]:
    """The processes of an attack that live."""
    found = []
    for path in pids.iterdir():
        for pid in map(int, path.read_text().split()):
            try:
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if str(pids).encode() in arguments:
                found.append((path.name, pid))
    return found


def attack(cluster: Cluster, pids: Path, **options: object) -> Task:
    """A task of one job that tries all ways at once, the first time that it runs."""
    script = cluster.folder / "attack.py"
    script.write_text(ATTACK)
    words = [sys.executable, "-S", str(script), str(pids), "stay"]
    command = f": %DATA %IN %OUT; [ $ORCHESTRA_ATTEMPT = 1 ] || exit 0; exec {shlex.join(words)}"
    options = {"config": cluster.configs(1, "attack"), "grace": 0.3, **options}
    return cluster.task(1, command, name="attack", **options)


def all_out(pids: Path) -> None:
    wait_until(lambda: {name for name, _ in alive(pids)} == WAYS, 30, lambda: alive(pids))


def test_a_kill_leaves_nothing_while_other_jobs_run_on(cluster: Cluster, pids: Path) -> None:
    cluster.node(cpu=2)
    other = cluster.task(1, ": %DATA %IN %OUT; sleep 1000", name="other")
    task = attack(cluster, pids, data="user.ana.data")
    cluster.pilot()
    all_out(pids)
    cluster.wait_for_job(other, 0, RUNNING)
    lifecycle.kill_jobs(cluster.conn, task.id, [0], by="ana")
    cluster.wait_for_job(task, 0, JobState.KILLED)
    # What looks like nobody's might be the other job's: it is ended when that is.
    assert {name for name, _ in alive(pids)} <= {"far gone"}
    assert cluster.jobs(other) == [RUNNING]
    lifecycle.kill_jobs(cluster.conn, other.id, [0], by="ana")
    cluster.wait_for_job(other, 0, JobState.KILLED)
    wait_until(lambda: not alive(pids), describe=lambda: alive(pids))


def test_a_time_limit_leaves_nothing(cluster: Cluster, pids: Path) -> None:
    cluster.node(cpu=1)
    task = attack(cluster, pids, timeout=15.0)
    cluster.pilot()
    all_out(pids)
    cluster.wait_for(task, TaskState.FINALIZED)
    assert cluster.attempts(task)[0][2] == "timeout"
    wait_until(lambda: not alive(pids), describe=lambda: alive(pids))


def test_a_pilot_that_leaves_now_leaves_nothing(cluster: Cluster, pids: Path) -> None:
    cluster.node(cpu=1)
    attack(cluster, pids)
    pilot = cluster.pilot()
    all_out(pids)
    nodes.stop(cluster.conn, as_admin(cluster.conn), "gauss", now=True)
    assert pilot.wait(30) == 0
    wait_until(lambda: not alive(pids), describe=lambda: alive(pids))


def test_what_a_killed_keeper_leaves_is_ended_before_the_job_runs_again(
    cluster: Cluster, pids: Path
) -> None:
    cluster.node(cpu=1)
    task = attack(cluster, pids)
    cluster.pilot()
    all_out(pids)
    os.kill(cluster.keeper().pid, 9)
    cluster.wait_for(task, TaskState.DONE)
    assert [attempt[2] for attempt in cluster.attempts(task)] == ["lost", "exit"]
    # What has no mark, and whose parents ended before their keeper did, nobody can know.
    assert {name for name, _ in alive(pids)} <= {"far gone"}


HIDES = "env -i setsid bash -c 'echo $$ >> pids; cd /; exec sleep 1000' & until [ -s pids ]; do sleep 0.02; done; "
"""It has neither environment nor session nor folder, but writes to the log."""
BECOMES_A_DAEMON = (
    "env -i setsid bash -c '(sleep 1000 > /dev/null 2>&1 < /dev/null & echo $! > pids)'; "
    "until [ -s pids ]; do sleep 0.02; done; "
)


@pytest.fixture
def linked(cluster: Cluster) -> Path:
    """A volume that is a symbolic link."""
    (cluster.folder / "real").mkdir()
    volume = cluster.folder / "link"
    volume.symlink_to("real")
    return volume


def living(cluster: Cluster, task: Task, attempt: int = 1) -> list[int]:
    noted = Path(task.folder, f".attempts/job_configId_0/{attempt}/pids").read_text().split()
    return [pid for pid in map(int, noted) if lives(pid)]


def test_what_hides_on_a_volume_that_is_a_link_is_ended(cluster: Cluster, linked: Path) -> None:
    cluster.node(cpu=2)
    cluster.task(1, ": %DATA %IN %OUT; sleep 1000", name="other")
    task = cluster.task(1, f": %DATA %IN %OUT; {BECOMES_A_DAEMON}", volume=linked, data="user.ana.data")  # fmt: skip
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE)
    assert living(cluster, task) == []


def test_after_its_keeper_what_hides_on_a_volume_that_is_a_link_is_ended_before_the_job_runs_again(
    cluster: Cluster, linked: Path
) -> None:
    cluster.node(cpu=1)
    command = f": %DATA %IN %OUT; [ $ORCHESTRA_ATTEMPT = 1 ] || exit 0; ({HIDES}); sleep 1000"
    task = cluster.task(1, command, volume=linked, grace=0.3)
    cluster.pilot()
    cluster.wait_for_job(task, 0, RUNNING)
    [hidden] = wait_until(lambda: living(cluster, task))
    try:
        os.kill(cluster.keeper().pid, 9)
        cluster.wait_for(task, TaskState.DONE)
        assert [attempt[2] for attempt in cluster.attempts(task)] == ["lost", "exit"]
        assert not lives(hidden)
    finally:
        if lives(hidden):
            os.kill(hidden, 9)
