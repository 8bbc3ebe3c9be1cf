"""The output of a job in a container is kept even if the job damages its log and folder, or is killed."""

from __future__ import annotations

import pytest

from orchestra.domain.states import JobState, TaskState
from orchestra.interface import following
from orchestra.services.jobs import views
from orchestra.services.tasks import lifecycle
from support.cluster import Cluster
from support.containers import IMAGE
from support.waiting import wait_until

NEEDS = ": %DATA; "
MISDEEDS = (
    ":",
    "rm job.log",
    "rm job.log; echo mine > job.log",
    "ln -sf /etc/passwd job.log",
    "cd /; rm -rf %OUT/* %OUT/.[!.]*; rmdir %OUT",
)


def shown(cluster: Cluster, task: int, job: int) -> bytes:
    [attempt] = views.show(cluster.conn, f"{task}/{job}").attempts
    found = following.find(cluster.interface(), attempt)
    if found.file:
        with found.file as file:
            return file.read()
    return b"".join(text for _, text in following.parts(cluster.interface(), attempt))


@pytest.mark.parametrize("program", ["apptainer", "podman"])
def test_output_of_a_job_in_a_container_is_kept(
    cluster: Cluster, request: pytest.FixtureRequest, program: str
) -> None:
    runtime = request.getfixturevalue(program)
    sif = program == "apptainer"
    image = str(request.getfixturevalue("busybox_sif")) if sif else f"docker://{IMAGE}"
    cluster.node(cpu=2)
    cluster.pilot("gauss", "--master", f"--runtime={program}", env=dict(runtime.env))
    cases = " ".join(f"{n}) {misdeed};;" for n, misdeed in enumerate(MISDEEDS))
    end = "case $n in 0) while :; do sleep 0.1; done;; 1) kill -9 $$;; *) exit 4;; esac"
    command = f"{NEEDS}n=$(cat %IN); case $n in {cases} esac; echo REASON-$n >&2; {end}"
    task = cluster.task(len(MISDEEDS), command, image=image)
    cluster.wait_for_job(task, 0, JobState.RUNNING, 60)
    wait_until(lambda: shown(cluster, task.id, 0) == b"REASON-0\n", 30)
    lifecycle.kill_jobs(cluster.conn, task.id, [0], by="ana")
    cluster.wait_for(task, TaskState.FINALIZED, 60)
    for job in range(len(MISDEEDS)):
        assert b"REASON-%d\n" % job in shown(cluster, task.id, job), MISDEEDS[job]
    assert cluster.jobs(task) == [JobState.KILLED, *[JobState.FAILED] * 4]
    reasons = [
        views.show(cluster.conn, f"{task.id}/{job}").attempts[0].reason for job in range(1, 5)
    ]
    assert reasons == ["killed by signal 9 (SIGKILL), not by Orchestra", *["exit status 4"] * 3]
