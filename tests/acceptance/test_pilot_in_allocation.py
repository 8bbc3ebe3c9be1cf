"""Pilots in allocations of a pool: they join, end with their allocation, and leave nothing behind."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, TaskState
from support.cluster import Cluster
from support.lent import LentPilots
from support.needs import need
from support.processes import lives, with_text
from support.waiting import wait_until

JOB = """
import os, pathlib, signal, sys, time

def stop(*_):
    (out / "checkpoint").touch()
    os._exit(status)

status, out = int(sys.argv[1]), pathlib.Path(sys.argv[2])
if status >= 0:
    signal.signal(signal.SIGTERM, stop)
(out / "pid.new").write_text(str(os.getpid()))
os.replace(out / "pid.new", out / "pid")
time.sleep(600)
"""


@pytest.fixture
def lent(cluster: Cluster) -> Iterator[LentPilots]:
    found = LentPilots(cluster)
    yield found
    found.end()


def _job(cluster: Cluster, status: int = -1) -> str:
    """The command of a job that runs for long, and exits with a status when it gets TERM; below 0 it dies of it."""
    script = cluster.folder / "job.py"
    script.write_text(JOB)
    return f"exec python3 {_quoted(script)} {status} %OUT %DATA %IN"


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def _pid(task: Task) -> int:
    """The process of its job, once it runs."""
    (found,) = wait_until(lambda: list(Path(task.folder).glob("**/pid")), 20)
    return int(found.read_text())


def _running(
    cluster: Cluster, lent: LentPilots, status: int = -1, **options: Any
) -> tuple[Task, UUID, subprocess.Popen[str]]:
    """A job that runs in an allocation, and that may not be retried."""
    task = cluster.task(1, _job(cluster, status), retries=0, grace=3.0)
    allocation = lent.allocation()
    pilot = lent.start(allocation, **options)
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    _pid(task)
    return task, allocation, pilot


def _has_left(cluster: Cluster, lent: LentPilots, allocation: UUID) -> None:
    """Nothing is left of the allocation's pilot, neither files nor processes."""
    assert lent.of(allocation)["state"] == "ENDED", lent.log(allocation)
    assert lent.gone(allocation) == [True]
    assert not lent.folder(allocation).exists()
    wait_until(lambda: not with_text(f"--folder {lent.state}"))


def test_a_pilot_serves_leaves_when_idle_and_removes_its_files(
    cluster: Cluster, lent: LentPilots
) -> None:
    task = cluster.task(4, "env > %OUT/env; cat %DATA %IN")
    allocation = lent.allocation()
    pilot = lent.start(allocation)
    lent.is_now(allocation, "SERVING")
    cluster.wait_for(task, TaskState.DONE)
    lent.columns(idle=2.0)
    cluster.conn.execute("notify orchestra_node")
    assert pilot.wait(20) == 0, lent.log(allocation)
    row = lent.of(allocation)
    assert row["first_job_at"]
    assert row["ends_at"]
    assert row["started_at"]
    assert "ORCHESTRA_LOCAL" not in (cluster.out(task, 0) / "env").read_text()
    _has_left(cluster, lent, allocation)


def test_what_ends_the_allocation_costs_no_retry(cluster: Cluster, lent: LentPilots) -> None:
    task, allocation, pilot = _running(cluster, lent, status=3)
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(20) == 0, lent.log(allocation)
    assert cluster.jobs(task) == [JobState.ASSIGNED]
    ((_, _, cause, *_, reason),) = cluster.attempts(task)
    assert (cause, reason) == ("closed", "ended because its allocation was ended")
    assert list(Path(task.folder).glob("**/checkpoint"))
    _has_left(cluster, lent, allocation)


def test_a_stubborn_job_is_killed_and_reported_before_the_engine_kills_the_pilot(
    cluster: Cluster, lent: LentPilots
) -> None:
    task = cluster.task(
        1, "trap '' TERM; cat %DATA %IN; touch %OUT/pid; while :; do sleep 1; done", grace=600
    )
    allocation = lent.allocation()
    pilot = lent.start(allocation, kill_wait=4.0)
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    wait_until(lambda: list(Path(task.folder).glob("**/pid")), 20)
    pilot.send_signal(signal.SIGTERM)
    assert pilot.wait(4) == 0, lent.log(allocation)
    assert cluster.jobs(task) == [JobState.ASSIGNED], cluster.attempts(task)
    _has_left(cluster, lent, allocation)


def test_what_a_killed_pilot_leaves_is_ended_outside_of_the_allocation(
    cluster: Cluster, lent: LentPilots
) -> None:
    task, allocation, pilot = _running(cluster, lent, status=0)
    other = cluster.task(1, "cat %DATA %IN > %OUT/x", name="other", data="user.ana.data")
    job = _pid(task)
    pilot.kill()
    pilot.wait()
    wait_until(lambda: not lives(job), 20, lambda: lent.log(allocation))
    lent.is_now(allocation, "ENDED")
    assert list(Path(task.folder).glob("**/checkpoint"))
    assert cluster.jobs(task) == [JobState.ASSIGNED], cluster.attempts(task)
    assert not [a for a in cluster.attempts(other) if a[2] != "returned"]
    wait_until(lambda: not lent.folder(allocation).exists(), 10)
    _has_left(cluster, lent, allocation)


def test_two_allocations_on_one_host_stand_side_by_side(cluster: Cluster, lent: LentPilots) -> None:
    task = cluster.task(4, _job(cluster))
    first, second = lent.allocation(), lent.allocation()
    pilots = [lent.start(first), lent.start(second)]
    wait_until(lambda: cluster.jobs(task) == [JobState.RUNNING] * 4, 20)
    pilots[0].send_signal(signal.SIGTERM)
    assert pilots[0].wait(20) == 0
    assert cluster.jobs(task).count(JobState.RUNNING) == 2
    assert pilots[1].poll() is None


def test_several_nodes_of_an_allocation_have_a_pilot_each(
    cluster: Cluster, lent: LentPilots
) -> None:
    need("root")
    lent.columns(idle=2.0)
    allocation = lent.allocation(nodes=2)
    pilots = [lent.start(allocation, host=f"n{number}") for number in (1, 2)]
    assert [pilot.wait(30) for pilot in pilots] == [0, 0], lent.log(allocation)
    assert lent.of(allocation)["state"] == "ENDED"
    assert lent.gone(allocation) == [True, True]
