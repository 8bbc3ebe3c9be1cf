"""Disks that are full, file systems that hang: what they stop, and what they do not."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path

import pytest

from orchestra.domain.states import JobState, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.pilot.keeper_spool import read_spool
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle
from orchestra.store.driver import channels
from orchestra.store.tasks import tasks as task_store
from support import mounts
from support.cluster import Cluster
from support.waiting import wait_until

NEEDS = ": %DATA %IN %OUT; "
DONE, RUNNING = JobState.DONE, JobState.RUNNING


def message(cluster: Cluster, node: str = "gauss") -> str:
    return nodes.get(cluster.conn, node).message or ""


def hear_from(cluster: Cluster, node: str = "gauss") -> None:
    """Ask a pilot for a word, and wait for it."""
    query = "select seen_at from pilot join node on node.id = node_id where name = %s"
    before = cluster.conn.execute(query, [node]).fetchone()
    channels.notify(cluster.conn, channels.NODE)
    wait_until(lambda: cluster.conn.execute(query, [node]).fetchone() != before)


def fill(folder: Path) -> Path:
    """Leave no byte on the file system of a folder."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(1 << 12))
            except OSError:
                return path


@pytest.mark.needs("root")
def test_a_pilot_whose_own_disk_is_full_takes_nothing_until_there_is_room(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.node(cpu=1)
    gate = tmp_path / "gate"
    wait = f"until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done; "
    with mounts.small(cluster.home(), "size=4m"):
        first = cluster.task(1, NEEDS + wait + "exit 7", name="first")
        cluster.pilot()
        cluster.wait_for_job(first, 0, RUNNING)
        filler = fill(cluster.home())
        wait_until(lambda: "takes no jobs: not enough space in" in message(cluster), 25)
        gate.touch()
        cluster.wait_for(first, TaskState.FINALIZED)  # its outcome had its room
        second = cluster.task(
            2, NEEDS, name="second", config=cluster.configs(2, "more"), data="user.ana.data"
        )
        wait_until(lambda: cluster.state(second) is TaskState.RUNNING)
        for _ in range(2):
            hear_from(cluster)  # by when it would have claimed
        assert cluster.attempts(second) == []
        filler.unlink()
        cluster.wait_for(second, TaskState.DONE)
        wait_until(lambda: message(cluster) == "")
        assert [attempt[3] for attempt in cluster.attempts(first)] == [7]
        cluster.end()


@pytest.mark.needs("root")
def test_a_volume_without_room_holds_its_task_and_no_other(cluster: Cluster) -> None:
    cluster.node(cpu=1)
    volume = cluster.folder / "small"
    with mounts.small(volume, "size=1m,nr_inodes=3"):
        full = cluster.task(2, NEEDS, name="full", volume=volume)
        cluster.pilot()

        def why() -> str | None:
            found = task_store.by_id(cluster.conn, full.id)
            return found.hold.reason if found and found.hold else None

        reason = wait_until(why, describe=cluster.log)
        assert reason
        assert reason.startswith(f"the volume has no space left: cannot make {full.folder}")
        other = cluster.task(
            1, NEEDS, name="other", config=cluster.configs(1, "more"), data="user.ana.data"
        )
        cluster.wait_for(other, TaskState.DONE)
        os.system(f"mount -o remount,nr_inodes=100 {shlex.quote(str(volume))}")
        lifecycle.apply(cluster.conn, full.id, TaskInput.RELEASE, by="ana")
        cluster.wait_for(full, TaskState.DONE)
        causes = {attempt[2] for attempt in cluster.attempts(full)}
        assert {"volume", "exit"} <= causes <= {"volume", "returned", "exit"}


@pytest.mark.needs("root")
def test_a_hung_volume_stalls_its_own_jobs_alone(cluster: Cluster) -> None:
    cluster.node(cpu=20)
    volume = cluster.folder / "hung"
    volume.mkdir()
    stuck = cluster.task(40, NEEDS, name="stuck", volume=volume)
    with mounts.hung(volume):
        cluster.pilot("gauss", "--master", "--stall-after=1")
        wait_until(lambda: len(cluster.attempts(stuck)) >= 20, describe=cluster.log)
        other = cluster.task(
            5, NEEDS, name="other", config=cluster.configs(5, "more"), data="user.ana.data"
        )
        cluster.wait_for(other, TaskState.DONE)
        wait_until(lambda: f"the volume {volume}" in message(cluster), describe=cluster.log)
        assert set(cluster.jobs(stuck)) == {JobState.ASSIGNED}
    cluster.wait_for(stuck, TaskState.DONE)
    wait_until(lambda: message(cluster) == "")
    causes = [attempt[2] for attempt in cluster.attempts(stuck)]
    assert set(causes) <= {"returned", "exit"}
    assert causes.count("exit") == 40


@pytest.mark.needs("root")
def test_hung_inputs_of_one_task_leave_the_others_their_threads(cluster: Cluster) -> None:
    cluster.node(cpu=4)
    configs = cluster.configs(30, "configs")
    stuck = cluster.task(30, NEEDS, name="stuck", config=configs)
    other = cluster.task(
        9, NEEDS, name="other", config=cluster.configs(9, "more"), data="user.ana.data"
    )
    with mounts.hung(cluster.folder / "configs"):
        cluster.pilot("gauss", "--master", "--stall-after=0.5")
        cluster.wait_for(other, TaskState.DONE)
        assert cluster.jobs(stuck).count(DONE) == 0
    cluster.wait_for(stuck, TaskState.DONE)


HARM = {
    "a pipe for a log": ("rm {out}/job.log; mkfifo {out}/job.log; exit 3", "failed"),
    "a folder for a log": ("rm {out}/job.log; mkdir {out}/job.log; exit 3", "failed"),
    "its folder away": ("cd /; rm -rf {out}; exit 3", "failed"),
    "a link for its folder": (
        "cd /; mv {out} {out}.real; ln -s {elsewhere} {out}; exit 3",
        "failed",
    ),
    "a file for its folder": ("cd /; rm -rf {out}; : > {out}; exit 3", "failed"),
    "no descriptor": ("exec 0<&- 1>&- 2>&-; exit 3", "failed"),
    "its log cut short": (": > {out}/job.log; exit 3", "failed"),
    "a name with a newline": ("touch {out}/$'a\\nb'; echo $'\\033[2J\\0\\xff'; exit 3", "failed"),
    "a fork for each second": (
        "for i in 1 2 3 4 5 6 7 8; do setsid sleep 1000 & done; exit 3",
        "failed",
    ),
    "a log of 300 MB": ("head -c 300M /dev/zero; exit 3", "failed"),
}
"""What jobs do to their own folder, by name. {elsewhere} holds somebody else's job.log."""


def test_whatever_jobs_do_to_their_own_folder_they_end_and_harm_nobody_else(
    cluster: Cluster,
) -> None:
    cluster.node(cpu=3)
    elsewhere = cluster.folder / "elsewhere"
    elsewhere.mkdir()
    treasure = elsewhere / "job.log"
    treasure.write_text("not yours\n" * 100)
    lines = [
        f"{number}) {script.format(out='%OUT', elsewhere=shlex.quote(str(elsewhere)))};;"
        for number, (script, _) in enumerate(HARM.values())
    ]
    config = cluster.configs(len(HARM), "harm")
    command = "case $(cat %IN) in " + " ".join(lines) + " esac; : %DATA"
    task = cluster.task(len(HARM), command, name="harm", config=config)
    after = cluster.task(3, NEEDS, name="after", data="user.ana.data")
    cluster.pilot("gauss", "--master", "--log-limit=1000000")
    cluster.wait_for(task, TaskState.FINALIZED, 60)
    cluster.wait_for(after, TaskState.DONE)
    causes = {
        name: attempt[2:4] for name, attempt in zip(HARM, cluster.attempts(task), strict=True)
    }
    assert causes == dict.fromkeys(HARM, ("exit", 3))
    assert treasure.read_text() == "not yours\n" * 100
    assert "a round of the agent failed" not in cluster.log()
    big = Path(task.folder, ".attempts", f"job_configId_{len(HARM) - 1}", "1", "job.log")
    assert big.stat().st_size < 2_000_000


@pytest.mark.slow
def test_a_stopped_keeper_is_named_and_its_agents_do_not_wait_for_it(cluster: Cluster) -> None:
    cluster.node(cpu=2)
    cluster.node("other", cpu=2)
    task = cluster.task(1, NEEDS + "sleep 1000")
    first = cluster.pilot()
    cluster.wait_for_job(task, 0, RUNNING)
    [spool] = cluster.home().glob("keepers/*/spool")
    keeper = read_spool(spool.parent).pid
    os.kill(keeper, signal.SIGSTOP)
    try:
        stuck = cluster.task(1, NEEDS, name="stuck", data="user.ana.data")
        wait_until(lambda: f"its keeper (pid {keeper}) does not answer" in message(cluster), 40)
        assert nodes.get(cluster.conn, "gauss").online
        second = cluster.pilot()
        assert first.wait(20) == 0
        wait_until(lambda: "is waiting for a keeper of an earlier pilot" in message(cluster), 40)
        assert second.poll() is None
        assert cluster.jobs(task) == [RUNNING]
    finally:
        os.kill(keeper, signal.SIGCONT)
    cluster.wait_for(stuck, TaskState.DONE)
    wait_until(lambda: not message(cluster), 30, lambda: message(cluster))
    assert cluster.jobs(task) == [RUNNING]
    assert [attempt[1] for attempt in cluster.attempts(task)] == [1]
