"""What a node has and what the database thinks that it has are the same, whatever dies in between."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.states import JobState, TaskState
from orchestra.services import nodes, standstill
from support.cluster import Cluster
from support.proxy import cable
from support.waiting import wait_until

NEEDS = ": %DATA %IN %OUT; "


@pytest.fixture
def cluster(conn: psycopg.Connection, tcp_database_url: str, tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(conn, tcp_database_url, tmp_path)
    yield found
    found.end()


def test_a_grant_for_a_keeper_that_has_died_meanwhile_goes_back(cluster: Cluster) -> None:
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    cluster.pilot("euler", "--master")
    with cable(cluster.url) as slow:
        cluster.pilot("gauss", "--lease=600", url=slow.url(cluster.url))
        keeper = cluster.keeper()
        registered = "select from keeper where id = %s"
        wait_until(lambda: cluster.conn.execute(registered, [keeper.keeper]).fetchone() is not None)
        slow.delay = 0.8
        task = cluster.task(3, NEEDS)
        granted = "select from attempt where keeper_id = %s"
        wait_until(
            lambda: cluster.conn.execute(granted, [keeper.keeper]).fetchone() is not None,
            30,
            cluster.log,
        )
        os.kill(keeper.pid, signal.SIGKILL)
        slow.delay = 0.0  # for what is not on its way yet
        cluster.wait_for(task, TaskState.DONE, timeout=25)


def test_a_stop_that_its_agent_never_heard_of_holds_for_the_one_that_its_keeper_starts(
    cluster: Cluster,
) -> None:
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    cluster.pilot("euler", "--master")
    task = cluster.task(2, NEEDS + "sleep 1000", grace=1.0)
    pilot = cluster.pilot("gauss", "--heir-after=0.5")
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    pilot.kill()
    pilot.wait()
    assert nodes.stop(cluster.conn, "gauss", now=True)
    wait_until(lambda: not cluster.keepers("gauss"), 30, cluster.log)
    wait_until(lambda: cluster.heirs() == [])
    assert cluster.jobs(task) == [JobState.ASSIGNED] * 2
    assert [attempt[2:4] for attempt in cluster.attempts(task)] == [("lease", None)]


def test_a_stop_in_the_middle_of_a_hand_over_is_not_forgotten(cluster: Cluster) -> None:
    """The agent goes to the background, and is told to end its jobs before the next one has begun."""
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    cluster.pilot("euler", "--master")
    task = cluster.task(1, NEEDS + "trap 'sleep 1; exit 1' TERM; sleep 1000 & wait", grace=5.0)
    with cable(cluster.url) as wire:
        pilot = cluster.pilot("gauss", "--terminal", url=wire.url(cluster.url))
        cluster.wait_for_job(task, 0, JobState.RUNNING)
        wire.unplug()
        pilot.send_signal(signal.SIGINT)
        assert pilot.wait(20) == 0
        assert nodes.stop(cluster.conn, "gauss", now=True)
        wire.plug()
        wait_until(lambda: not cluster.keepers("gauss"), 30, cluster.log)
    assert cluster.jobs(task) == [JobState.ASSIGNED]
    assert [attempt[2] for attempt in cluster.attempts(task)] == ["lease"]


def test_a_node_that_is_deleted_and_made_again_works_at_once(cluster: Cluster) -> None:
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    cluster.pilot("euler", "--master")
    cluster.pilot("gauss", "--lease=600")
    cluster.wait_for(cluster.task(2, NEEDS), TaskState.DONE)
    keeper, remembered = str(cluster.keeper().keeper), cluster.home() / "database.json"
    wait_until(lambda: keeper in json.loads(remembered.read_text())["acknowledged"])
    nodes.stop(cluster.conn, "gauss")
    assert cluster.pilots[-1].wait(30) == 0
    nodes.delete(cluster.conn, "gauss")
    cluster.node("gauss", cpu=1)
    config = cluster.configs(2, "more")
    again = cluster.task(2, NEEDS, name="again", config=config, data="user.ana.data")
    cluster.pilot("gauss", "--lease=600")
    cluster.wait_for(again, TaskState.DONE, timeout=20)
    assert standstill.state(cluster.conn) is None
