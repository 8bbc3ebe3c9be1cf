"""What a job printed outlives whatever the job does to its folder and its log."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path

import pytest

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, TaskState
from orchestra.interface import following
from orchestra.services.jobs import views
from support.cluster import Cluster
from support.waiting import wait_until

NEEDS = ": %DATA %OUT; "
MISDEEDS = {
    "rm -rf %OUT": "no longer exists",
    "rm -rf %OUT; mkdir %OUT": "no longer exists",
    "mv %OUT %OUT.moved": "no longer exists",
    "rm job.log": "no longer exists",
    "rm job.log; echo mine > job.log": "is not what the job printed",
    "mv job.log job.log.1; echo mine > job.log": "is not what the job printed",
    "ln -sf /etc/passwd job.log": "is reached by a link",
    "rm job.log; mkfifo job.log": "is not a regular file",
    "rm job.log; mkdir job.log": "is not a regular file",
    "rm job.log; rm -rf ../../../.attempts": "no longer exists",
}


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def until(path: Path) -> str:
    return f"until [ -e {shlex.quote(str(path))} ]; do sleep 0.02; done; "


def shown(cluster: Cluster, task: Task, job: int) -> tuple[bytes, str]:
    """What `job logs` shows, and what it says of the file."""
    [attempt] = views.show(cluster.conn, f"{task.id}/{job}").attempts
    found = following.find(cluster.interface(), attempt)
    if found.file:
        with found.file as file:
            return file.read(), found.why
    parts = following.parts(cluster.interface(), attempt)
    return b"".join(text for _, text in parts), found.why


def test_the_reason_of_a_failure_is_kept_whatever_a_job_does_to_its_log(cluster: Cluster) -> None:
    cluster.node(cpu=2)
    cases = " ".join(f"{n}) {misdeed};;" for n, misdeed in enumerate(MISDEEDS))
    command = f"{NEEDS}n=$(cat %IN); case $n in {cases} esac; echo REASON-$n >&2; exit 4"
    # One after the other: the last one removes what the others have left.
    task = cluster.task(len(MISDEEDS), command)
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED, 60)
    for job, why in enumerate(MISDEEDS.values()):
        text, said = shown(cluster, task, job)
        assert text == b"REASON-%d\n" % job
        assert why in said or "no longer exists" in said


def test_a_log_that_is_emptied_or_huge_keeps_its_end(cluster: Cluster) -> None:
    cluster.node(cpu=1)
    emptied = "echo before; : > job.log; "
    huge = "truncate -s 10G job.log; rm job.log; "
    task = cluster.task(
        2, f"{NEEDS}if grep -q 0 %IN; then {emptied} else {huge} fi; echo REASON; exit 4"
    )
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED, 60)
    assert shown(cluster, task, 0) == (b"REASON\n", "")
    text, why = shown(cluster, task, 1)
    assert text.endswith(b"\0REASON\n")
    assert len(text) == 64 * 1024
    assert why == "no longer exists"


def opened_logs(pid: int) -> list[str]:
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(str(descriptor.readlink()))
    return [path for path in found if path.endswith("/job.log")]


def test_an_adopted_job_keeps_its_reason(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=1)
    task = cluster.task(
        1, f"{NEEDS}: %IN; {until(gate)} rm -rf %OUT; mkdir %OUT; echo REASON >&2; exit 4"
    )
    first = cluster.pilot()
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    first.kill()
    first.wait()
    second = cluster.pilot()
    wait_until(lambda: opened_logs(second.pid), 30, lambda: cluster.log())
    gate.touch()
    cluster.wait_for(task, TaskState.FINALIZED)
    assert shown(cluster, task, 0) == (b"REASON\n", "no longer exists")
    wait_until(lambda: not opened_logs(second.pid))


def test_a_running_job_s_log_is_shown_after_it_was_removed(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=1)
    task = cluster.task(1, f"{NEEDS}: %IN; echo one; rm job.log; echo two; {until(gate)} exit 4")
    cluster.pilot()
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    log = cluster.out(task, 0) / "job.log"
    wait_until(lambda: not log.exists() and log.parent.exists())
    wait_until(lambda: shown(cluster, task, 0)[0] == b"one\ntwo\n")
    gate.touch()
    cluster.wait_for(task, TaskState.FINALIZED)


def test_a_resumed_attempt_has_a_log_of_its_own_where_the_last_one_put_a_link(
    cluster: Cluster, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine\n")
    command = (
        f"{NEEDS}: %IN; echo REASON-$ORCHESTRA_ATTEMPT; ln -sf {shlex.quote(str(victim))} job.log; "
        "[ $ORCHESTRA_ATTEMPT = 2 ]"
    )
    cluster.node(cpu=1)
    task = cluster.task(1, command, resume=True, retries=3)
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE, 60)
    assert victim.read_text() == "mine\n"
