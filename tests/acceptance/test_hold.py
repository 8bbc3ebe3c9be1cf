"""A hold beside pilots that have claimed ahead: once it has returned, no job of its task starts."""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from orchestra.domain.models.tasks import Task
from orchestra.domain.transitions import TaskInput
from orchestra.interface.waiting import wait_for_pilots
from orchestra.services.tasks import actions, lifecycle
from support.cluster import Cluster
from support.maestro import Maestro
from support.people import caller
from support.waiting import wait_until

JOBS = 800
TICKS = 100
"""Of a second, in which the kernel says when a process has begun."""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    folder = tmp_path / "trace"
    folder.mkdir()
    return folder


def quick_jobs(cluster: Cluster, trace: Path, then: str = "") -> Task:
    """Make a task whose jobs take a moment, and write down what the kernel says of their processes."""
    note = (
        f'read -r line < /proc/$$/stat; echo "$line" > {shlex.quote(str(trace))}/"$ORCHESTRA_JOB"'
    )
    return cluster.task(JOBS, f": %DATA %IN %OUT; {note}; {then}")


def starts(trace: Path) -> list[int]:
    """When jobs have begun, in ticks since the machine started."""
    lines = [path.read_text() for path in trace.iterdir()]
    return [int(line.rpartition(")")[2].split()[19]) for line in lines if line]


def claimed(cluster: Cluster, task: Task, state: str = "assigned") -> int:
    row = cluster.conn.execute(
        "select count(*) from job where task_id = %s and keeper_id is not null and state = %s",
        [task.id, state],
    ).fetchone()
    assert row
    return int(row[0])


def until_ahead(cluster: Cluster, task: Task, jobs: int) -> None:
    """Wait until so many jobs are claimed that have no slot."""
    wait_until(lambda: claimed(cluster, task) >= jobs, 60, cluster.log, pause=0.005)


def until_none_is_claimed(cluster: Cluster, task: Task) -> None:
    wait_until(
        lambda: not claimed(cluster, task) and not claimed(cluster, task, "running"),
        30,
        cluster.log,
    )


def test_no_job_starts_after_its_tasks_hold_has_returned(cluster: Cluster, trace: Path) -> None:
    ana = caller(cluster.conn)
    task = quick_jobs(cluster, trace)
    for node, flags in (("gauss", ("--master",)), ("euler", ("--no-conductor",))):
        cluster.node(node)
        cluster.pilot(node, *flags)
    until_ahead(cluster, task, 40)
    actions.hold(cluster.conn, ana, task.id, None)
    left = wait_for_pilots(cluster.interface(), [task.id], timeout=30)
    returned = time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS
    assert left == {}
    until_none_is_claimed(cluster, task)
    begun = starts(trace)
    assert [start for start in begun if start > returned] == []
    assert len(begun) < JOBS
    actions.release(cluster.conn, ana, task.id)
    wait_until(lambda: len(starts(trace)) == JOBS, 60, cluster.log)


def test_what_orchestra_holds_goes_back_as_well(cluster: Cluster, trace: Path) -> None:
    task = quick_jobs(cluster, trace, "sleep 0.4")
    cluster.node(cpu=16)
    cluster.pilot()
    until_ahead(cluster, task, 30)
    lifecycle.apply(cluster.conn, task.id, TaskInput.FAILS_REACHED, by="orchestra", why="enough")
    until_none_is_claimed(cluster, task)
    reasons = [reason for *_, cause, _, _, reason in cluster.attempts(task) if cause == "returned"]
    assert "not started: its task is held" in reasons


def stopped_at_rest(cluster: Cluster, pilot: subprocess.Popen[str], task: Task) -> bool:
    """Stop a pilot that holds jobs, unless it is in a transaction: its locks would keep every command waiting."""
    pilot.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not is_busy(cluster, "active"), 5)
        # A look takes time in which the server reads what the pilot has sent.
        if claimed(cluster, task) and not any(is_busy(cluster) for _ in range(50)):
            return True
    except AssertionError:
        pass
    pilot.send_signal(signal.SIGCONT)
    return False


def is_busy(cluster: Cluster, state: str = "%") -> bool:
    """Whether another connection to this database is in a state, or in any but idle."""
    others = "datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'"
    row = cluster.conn.execute(
        f"select exists (select from pg_stat_activity where {others} and state like %s)", [state]
    ).fetchone()
    return bool(row and row[0])


def test_a_hold_names_the_node_that_does_not_answer(
    cluster: Cluster, trace: Path, newcomer: Maestro
) -> None:
    newcomer.configure(postgres=cluster.url, email="ana@example.org", username="ana")
    task = quick_jobs(cluster, trace)
    cluster.node()
    pilot = cluster.pilot()
    until_ahead(cluster, task, 20)
    wait_until(lambda: stopped_at_rest(cluster, pilot, task), 60, cluster.log)
    said = newcomer("task", "hold", task.id)
    assert f"task {task.id} (user.ana.work) is held" in said.out
    assert f"gauss did not answer, and may still start a job of task {task.id}" in said.err
    pilot.send_signal(signal.SIGCONT)
    until_none_is_claimed(cluster, task)
    assert "did not answer" not in newcomer("task", "hold", task.id).err
