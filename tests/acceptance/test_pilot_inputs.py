"""On what was registered, or not at all: files that change before a start and while a job runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from orchestra.domain.states import JobState, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.files.results import read as read_results
from orchestra.interface import rereading
from orchestra.services.jobs import views
from orchestra.services.tasks import lifecycle, results
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


def test_a_program_that_was_edited_is_run_by_nobody_before_an_update_takes_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Fix the script and the configs, run the rest again; the pilot dies meanwhile."""
    cluster.node(cpu=4)
    program, gate = cluster.folder / "program.sh", tmp_path / "gate"
    program.write_text('[ "$(cat "$1")" != 7 ] || exit 3\necho "{\\"old\\": $(cat "$1")}"\n')
    name = cluster.dataset("program", program)
    task = cluster.task(12, "sh %DATA %IN > %OUT/metrics.json", data=name)
    first = cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED)
    program.write_text(
        f'until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done\necho "{{\\"new\\": $(cat "$1")}}"\n'
    )
    lifecycle.apply(cluster.conn, task.id, TaskInput.RETRY, by="ana")
    assert f"{program} has changed" in held_because(cluster, task.id)
    wait_until(lambda: not any(state is RUNNING for state in cluster.jobs(task)))
    assert cluster.jobs(task).count(DONE) == 11

    grid = cluster.folder / "work-configs"
    (grid / "config.3.txt").write_text("33\n")
    (grid / "config.5.txt").unlink()
    (grid / "config.12.txt").write_text("12\n")
    _, done = rereading.update(cluster.interface(), task.id)
    assert str(done.changes) == (
        "program.sh changed (user.ana.program version 2); 1 config changed, 1 new, 1 removed"
    )
    wait_until(lambda: cluster.jobs(task).count(RUNNING) == 2, describe=cluster.log)
    first.kill()
    first.wait()
    cluster.pilot()
    gate.touch()
    cluster.wait_for(task, TaskState.DONE)
    rows = {row["job"]: row for row in read_results(results.look_up(cluster.conn, "0")).records()}
    assert len(rows) == 13
    assert {job for job, row in rows.items() if row["run.revision"] == 2} == {7, 12}
    assert [rows[7]["new"], rows[12]["new"], rows[3]["old"]] == [7, 12, 3]


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
