"""`maestro job explain`, as people read it, with jobs that a real pilot runs."""

from __future__ import annotations

import re

import pytest

from orchestra.domain.states import JobState, TaskState
from support.cluster import Cluster
from support.maestro import Maestro

pytestmark = pytest.mark.both_ways


@pytest.fixture
def cluster(cluster: Cluster) -> Cluster:
    """A node of one slot; the pilot is started by who needs it."""
    cluster.node(cpu=1)
    return cluster


def test_the_whole_life_of_a_job_in_sentences(maestro: Maestro, cluster: Cluster) -> None:
    gate = cluster.folder / "gate"
    command = (
        ': %DATA %IN %OUT; until test -e "$GATE"; do sleep 0.05; done; '
        'test "$(cat %IN)" != 1 || { echo "no such file"; exit 3; }'
    )
    task = cluster.task(3, command, env={"GATE": str(gate)})
    assert maestro.line("job explain 0/2").out.splitlines() == [
        "Job 2 of task 0 (user.ana.work) is waiting for its task to start.",
        (
            "  There is no conductor at present, so tasks make no progress: no pilot that could be one is online. "
            "Tasks continue within seconds of the start of a pilot."
        ),
        "  1 CPU slot is enabled on 1 node: none in use, 1 on an offline node.",
        "  No pilot is online on a node with enough CPU slots: maestro pilot run.",
        "  Node gauss has had no pilot yet: maestro pilot run -n gauss",
        "  2 jobs are ahead: 2 of its own task.",
    ]

    cluster.pilot()
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    waits = maestro.line("job explain 0/2").out
    assert waits.splitlines() == [
        "Job 2 of task 0 (user.ana.work) is waiting for a CPU slot.",
        "  1 CPU slot is enabled on 1 node: 1 in use.",
        "  1 job is ahead: 1 of its own task.",
        "  There is no estimate of its start yet: too few of the running jobs have ended.",
    ]
    runs = maestro.line("job explain user.ana.work/0").out
    assert re.match(
        r"Job 0 of task 0 \(user.ana.work\) has been running on node gauss for .+\.\n", runs
    )
    assert f"  Its folder: {task.folder}/.attempts/job_configId_0/1\n" in runs
    assert "  Its log: maestro job logs 0/0 -f\n" in runs

    maestro.line("job kill 0/2 --reason 'not needed'")
    maestro.line("task hold 0 --reason 'wrong data'")
    held = maestro.line("job explain 0/1 -o json").json
    assert held["headline"] == "Job 1 of task 0 (user.ana.work) is waiting: its task is held."
    assert re.match(r'It was held .+ by ana: "wrong data"\.', held["sentences"][0])
    assert {key: type(value) for key, value in held.items()} == {
        "task_id": int, "task": str, "ordinal": int, "state": str, "claimed": bool, "headline": str,
        "sentences": list, "starts_in_seconds": type(None), "not_before": type(None),
    }  # fmt: skip
    maestro.line("task release 0")
    gate.touch()
    cluster.wait_for(task, TaskState.FINALIZED)

    assert f"  Its result: {task.folder}/job_configId_0\n" in maestro.line("job explain 0/0").out
    failed = maestro.line("job explain 0/1").out
    assert "on node gauss: exit status 3.\n" in failed
    assert '  The last line of its log: "no such file"\n' in failed
    killed = maestro.line("job explain 0/2").out
    assert re.match(
        r'Job 2 of task 0 \(user.ana.work\) was killed .+ by ana: "not needed"\.\n', killed
    )
    assert maestro.line("job explain 0/2 -q").out == "0/2\n"


def test_mistakes(maestro: Maestro, cluster: Cluster) -> None:
    cluster.task(3, ": %DATA %IN %OUT")
    assert "no job 3" in maestro.refused("job", "explain", "0/3")
    assert "no task 7" in maestro.refused("job", "explain", "7/0")
    assert "names 2 jobs" in maestro.refused("job", "explain", "0/0-1")
