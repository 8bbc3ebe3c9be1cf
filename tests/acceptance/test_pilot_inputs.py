"""On what was registered, or not at all: files that change before a start and while a job runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from orchestra.domain.states import JobState, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services.jobs import views
from orchestra.services.tasks import lifecycle
from orchestra.store.tasks import tasks as task_store
from support.cluster import Cluster
from support.waiting import wait_until

DONE, RUNNING = JobState.DONE, JobState.RUNNING


def held_because(cluster: Cluster, task: int) -> str:
    def why() -> str | None:
        found = task_store.by_id(cluster.conn, task)
        return found.hold.reason if found and found.hold else None

    return wait_until(why, describe=cluster.log) or ""


def note(cluster: Cluster, task: int, job: int) -> str | None:
    return views.show(cluster.conn, f"{task}/{job}").attempts[-1].inputs_note


def test_a_program_that_was_edited_before_a_retry_is_run_by_nobody(cluster: Cluster) -> None:
    cluster.node(cpu=4)
    program = cluster.folder / "program.sh"
    program.write_text("exit 3\n")
    name = cluster.dataset("program", program)
    task = cluster.task(8, ": %IN; sh %DATA > %OUT/said", data=name)
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED)
    program.write_text("echo never registered\n")
    lifecycle.apply(cluster.conn, task.id, TaskInput.RETRY, by="ana")
    assert f"{program} has changed" in held_because(cluster, task.id)
    wait_until(lambda: not any(state is RUNNING for state in cluster.jobs(task)))
    assert DONE not in cluster.jobs(task)
    program.write_text("exit 3\n")


@pytest.mark.parametrize("agents", [1, 2])
def test_a_result_whose_inputs_changed_while_it_ran_is_kept_and_marked(
    cluster: Cluster, tmp_path: Path, agents: int
) -> None:
    cluster.node(cpu=1)
    gate, data = tmp_path / "gate", cluster.folder / "data.txt"
    wait = f"until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done"
    task = cluster.task(2, f"cat %DATA > %OUT/read; [ $(cat %IN) = 1 ] || {wait}")
    pilot = cluster.pilot()
    cluster.wait_for_job(task, 0, RUNNING)
    data.write_text("other data\n")
    if agents == 2:
        pilot.kill()
        pilot.wait()
        cluster.pilot()
    gate.touch()
    cluster.wait_for_job(task, 0, DONE)
    changed = f"{data} has changed since it was registered: it had 5 bytes, now 11"
    assert note(cluster, task.id, 0) == f"inputs changed while it ran: {changed}"
    assert held_because(cluster, task.id) == changed
    assert cluster.jobs(task) == [DONE, JobState.ASSIGNED]
    data.write_text("data\n")
    lifecycle.apply(cluster.conn, task.id, TaskInput.RELEASE, by="ana")
    cluster.wait_for(task, TaskState.DONE)
    assert note(cluster, task.id, 1) is None


def test_a_file_that_came_into_a_data_folder_is_told_with_the_result(cluster: Cluster) -> None:
    cluster.node(cpu=1)
    folder = cluster.folder / "rows"
    folder.mkdir()
    (folder / "a.csv").write_text("a\n")
    name = cluster.dataset("rows", folder)
    (folder / "b.csv").write_text("b\n")
    task = cluster.task(1, "cat %DATA/*; : %IN %OUT", data=name)
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE)
    told = f"{folder} has 1 file that was not registered: b.csv"
    assert note(cluster, task.id, 0) == told
