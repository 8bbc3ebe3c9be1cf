"""Pilots with real PostgreSQL, real keepers, real jobs; attacked while they work."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.states import JobState, Queue, TaskState
from support.cluster import Cluster
from support.waiting import wait_until

DONE, FAILED, KILLED, RUNNING = (
    JobState.DONE,
    JobState.FAILED,
    JobState.KILLED,
    JobState.RUNNING,
)


@pytest.fixture
def cluster(conn: psycopg.Connection, database_url: str, hostile_dir: Path) -> Iterator[Cluster]:
    """A database, and a volume whose name breaks careless code."""
    found = Cluster(conn, database_url, hostile_dir)
    yield found
    found.end()


def test_jobs_run_in_folders_of_their_own_and_are_done(cluster: Cluster) -> None:
    cluster.node()
    task = cluster.task(3, 'cat %DATA "%IN" > result; echo "out %OUT" | tee -a result; pwd')
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE)
    for job in range(3):
        out = cluster.out(task, job)
        assert os.readlink(out) == f".attempts/job_configId_{job}/1"
        assert (out / "result").read_text() == f"data\n{job}\nout {out.resolve()}\n"
        assert (out / "job.log").read_text() == f"out {out.resolve()}\n{out.resolve()}\n"
    assert cluster.attempts(task) == [(job, 1, "exit", 0, None, None) for job in range(3)]
