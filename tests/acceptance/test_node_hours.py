"""A pilot whose node closes, opens and is drained while jobs run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestra.domain.models.nodes import Node, NodeSettings, SlotsWanted
from orchestra.domain.states import JobState, TaskState
from orchestra.services.nodes import drains, nodes
from support.cluster import Cluster
from support.people import as_admin
from support.waiting import wait_until

JOB = """: %DATA %IN %OUT
    if [ -e saved ]; then until [ -e GATE ]; do sleep 0.02; done; exit 0; fi
    trap 'touch saved; exit 1' TERM
    touch begun
    while :; do sleep 0.02; done"""


def set_hours(cluster: Cluster, hours: str) -> Node:
    me, kinds = as_admin(cluster.conn), (SlotsWanted("CPU"), SlotsWanted("GPU"))
    return nodes.change(cluster.conn, me, "gauss", *kinds, NodeSettings(open_hours=hours))


def test_jobs_save_their_work_when_their_node_closes_and_go_on_when_it_opens(
    cluster: Cluster, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    cluster.node(cpu=1)
    task = cluster.task(2, JOB.replace("GATE", str(gate)), resume=True, retries=0)
    # Its wall clock is not the database's; it says when it opens by its own.
    cluster.pilot(env={"TZ": "XXX-5:30"})
    wait_until((cluster.out(task, 0) / "begun").exists, describe=cluster.log)

    far = datetime.now(UTC) + timedelta(days=3, hours=5.5)
    set_hours(cluster, f"{far:%a}")
    wait_until(lambda: cluster.attempts(task)[0][2] == "closed", describe=cluster.log)
    assert cluster.attempts(task)[0][5].startswith("ended because the node closed at ")
    assert (cluster.out(task, 0) / "saved").exists()
    assert cluster.jobs(task)[0] is JobState.ASSIGNED
    wait_until(lambda: nodes.get(cluster.conn, "gauss").opens_at, describe=cluster.log)
    node = nodes.get(cluster.conn, "gauss")
    assert node.opens_at
    assert f"{node.opens_at.astimezone(node.zone):%a %H:%M}" == f"{far:%a} 00:00"
    held = [attempt for attempt in cluster.attempts(task) if attempt[2] is None]
    assert held == [], "nothing is claimed while it is closed"

    set_hours(cluster, "always")
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    assert cluster.attempts(task)[1][:3] == (0, 2, None), "it is first in line, at no cost"

    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    me = as_admin(cluster.conn)
    drains.drain(cluster.conn, me, "gauss", reason=None, at=soon)
    wait_until(
        lambda: drains.carry_out(cluster.conn) or nodes.get(cluster.conn, "gauss").drained_at
    )
    gate.touch()
    cluster.wait_for_job(task, 0, JobState.DONE)
    assert cluster.jobs(task)[1] is JobState.ASSIGNED
    drains.resume(cluster.conn, me, "gauss")
    cluster.wait_for_job(task, 1, JobState.RUNNING)
    assert cluster.state(task) is TaskState.RUNNING
