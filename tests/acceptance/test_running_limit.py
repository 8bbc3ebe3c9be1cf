"""A task with max_running on two nodes: jobs alive at a time, counted by the jobs themselves."""

from __future__ import annotations

import shlex
from pathlib import Path

from orchestra.domain.states import JobState, TaskState
from orchestra.services.nodes import drains
from support.cluster import Cluster
from support.people import as_admin
from support.waiting import wait_until

LIMIT = 3
NEEDS = ": %DATA %IN %OUT; "


def test_no_more_jobs_are_alive_than_the_limit_allows_whatever_happens_to_their_pilots(
    cluster: Cluster, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    note = "echo $(date +%s%N) {} >> " + shlex.quote(str(trace)) + "; "
    cluster.node("gauss", cpu=3)
    cluster.node("euler", cpu=3)
    killed = cluster.pilot("gauss", "--margin=120")
    cluster.pilot("euler")
    task = cluster.task(
        40, NEEDS + note.format(1) + "sleep 0.05; " + note.format(-1), max_running=LIMIT
    )

    def done() -> int:
        return cluster.jobs(task).count(JobState.DONE)

    wait_until(lambda: done() >= 8, 20, cluster.log)
    killed.kill()
    killed.wait()
    cluster.pilot("gauss", "--margin=120")  # not as the conductor
    cluster.wait_for(task, TaskState.DONE)
    alive = most = 0
    for line in sorted(trace.read_text().splitlines()):
        alive += int(line.split()[1])
        most = max(most, alive)
    assert (alive, most) == (0, LIMIT)

    # The node that reports may not take the successor: the other one is woken for it, long before it asks again.
    gate = tmp_path / "gate"
    command = NEEDS + f"until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done"
    waits = cluster.task(2, command, name="waits", data="user.ana.data", max_running=1)
    cluster.wait_for_job(waits, 0, JobState.RUNNING)
    first = cluster.conn.execute(
        "select n.name from attempt a join node n on n.id = a.node_id where task_id = %s",
        [waits.id],
    ).fetchall()
    drains.drain(cluster.conn, as_admin(cluster.conn), first[0][0], reason="new disk")
    gate.touch()
    cluster.wait_for(waits, TaskState.DONE, timeout=15)
    used = cluster.conn.execute(
        "select count(distinct node_id) from attempt where task_id = %s", [waits.id]
    ).fetchone()
    assert used == (2,)
