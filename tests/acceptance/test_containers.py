"""Jobs in containers of real runtimes: what they can access, how they end, and that nothing is left of them."""

from __future__ import annotations

import os
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestra.domain.models.tasks import Resources, Task
from orchestra.domain.states import JobState, TaskState
from orchestra.pilot.keeper_messages import Started
from orchestra.runtimes.engines import TOKEN_LABEL
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle
from support.cluster import Cluster
from support.containers import IMAGE, Engine
from support.processes import with_text
from support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Place:
    """A real runtime with an image of busybox."""

    runtime: Engine
    image: str

    def left(self, cluster: Cluster) -> list[str]:
        """The containers of this test's jobs that still exist."""
        if self.runtime.program == "apptainer":
            return []
        tokens = [str(row[0]) for row in cluster.conn.execute("select token from attempt")]
        done = self.runtime("ps", "--all", "--format={{.ID}} {{.Status}} {{.Labels}}")
        return [line for line in done.stdout.splitlines() if any(map(line.__contains__, tokens))]


@pytest.fixture(params=["apptainer", "podman", "docker"])
def engine(request: pytest.FixtureRequest) -> Place:
    if request.param != "apptainer":
        return Place(request.getfixturevalue(request.param), f"docker://{IMAGE}")
    apptainer = request.getfixturevalue("apptainer")
    return Place(apptainer, str(request.getfixturevalue("busybox_sif")))


@pytest.fixture
def nap() -> str:
    """A program that runs longer than any test, and only in this test."""
    return f"sleep {100_000 + secrets.randbelow(900_000)}.5"


def start(cluster: Cluster, engine: Place, *flags: str, cpu: int = 2) -> None:
    cluster.node(cpu=cpu)
    cluster.pilot(
        "gauss",
        "--master",
        f"--runtime={engine.runtime.program}",
        *flags,
        env=dict(engine.runtime.env),
    )


def running(cluster: Cluster) -> list[Started]:
    """The attempts that the keepers run."""
    return [started for keeper in cluster.keepers() for started in keeper.running]


def ended(cluster: Cluster, task: Task, job: int = 0) -> tuple[object, ...]:
    """The last attempt of a job: cause, exit status, signal, reason."""
    return [row[2:] for row in cluster.attempts(task) if row[0] == job][-1]


def test_job_can_access_its_data_folder_and_variables(
    cluster: Cluster, engine: Place, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch, with a comma"
    scratch.mkdir()
    (scratch / "x").write_text("bound")
    start(cluster, engine)
    nasty = "a,b=c 'd' \"e\" $HOME `id` $(id) \\n\n é ü \\"
    command = (
        "set -e; test -d %OUT\n"
        'cp %IN copied; printf %s "$NASTY" > nasty; env -0 > env; id -u > uid; pwd > pwd\n'
        'touch here; ! touch %DATA 2> /dev/null; ! touch "$(dirname %IN)/x" 2> /dev/null\n'
        "cat /scratch/x > bound; ! touch /scratch/y 2> /dev/null; test ! -e /bin/bash\n"
        'mkdir "$ORCHESTRA_SCRATCH/sub"; touch "$ORCHESTRA_SCRATCH/sub/x"\n'
        'echo "line $LINENO" > line; echo said; echo wrong >&2 # é %%'
    )
    task = cluster.task(
        2,
        command,
        image=engine.image,
        env={"NASTY": nasty, "PATH": "/bin:/odd", "LD_LIBRARY_PATH": "/x"},
        binds=(f"{scratch}:/scratch:ro",),
    )
    cluster.wait_for(task, TaskState.DONE, timeout=60)
    out = cluster.out(task, 1)
    assert (out / "copied").read_text() == "1\n"
    assert (out / "nasty").read_text() == nasty
    assert (out / "bound").read_text() == "bound"
    assert (out / "uid").read_text().strip() == str(os.geteuid())
    assert (out / "pwd").read_text().strip() == str(out.resolve())
    assert (out / "line").read_text() == "line 5\n"  # as busybox counts, from 0
    assert (out / "job.log").read_text() == "said\nwrong\n"
    told = dict(part.split("=", 1) for part in (out / "env").read_text().split("\0") if part)
    assert told["ORCHESTRA_OUT"] == told["HOME"] == str(out.resolve())
    assert (told["PATH"], told["LD_LIBRARY_PATH"]) == ("/bin:/odd", "/x")
    assert told["ORCHESTRA_JOB"] == "1"
    wait_until(
        lambda: len(os.listdir(Path(told["ORCHESTRA_SCRATCH"]).parent)) <= 3, describe=cluster.log
    )
    assert not Path(told["ORCHESTRA_SCRATCH"], "sub").exists()
    assert told["OMP_NUM_THREADS"] == "1"
    foreign = {"USER_PATH", "PYTHONPATH", "XDG_RUNTIME_DIR", "CONTAINERS_CONF", "ORCHESTRA_V0"}
    assert not foreign & set(told)
    row = cluster.conn.execute("select distinct image_digest from attempt").fetchone()
    assert row
    assert row[0].startswith("sha256:")


@pytest.mark.parametrize("engine", ["apptainer", "podman"], indirect=True)
def test_folder_as_image_and_bash_if_it_exists(
    cluster: Cluster, engine: Place, bash_sandbox: Path
) -> None:
    start(cluster, engine)
    command = ': %DATA %IN %OUT; [[ $0 == */bash ]] &&\necho "line $LINENO" > line; exit 3'
    task = cluster.task(1, command, image=str(bash_sandbox))
    cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    assert ended(cluster, task)[:2] == ("exit", 3)
    assert (cluster.out(task, 0) / "line").read_text() == "line 2\n"


def test_exit_status_and_signals_are_reported(cluster: Cluster, engine: Place) -> None:
    start(cluster, engine)
    command = (
        ": %DATA %OUT; case $(cat %IN) in 0) exit 7;; 1) kill -9 $$;; 2) sh -c 'kill -TERM $$';; 3) exit 255;; "
        "4) echo hi; nosuchprogram;; esac"
    )
    task = cluster.task(5, command, image=engine.image)
    cluster.wait_for(task, TaskState.FINALIZED, timeout=120)
    assert [ended(cluster, task, job)[:3] for job in range(5)] == [
        ("exit", 7, None),
        ("signal", None, 9),
        ("signal", None, 15),
        ("exit", 255, None),
        ("exit", 127, None),
    ]
    assert engine.left(cluster) == [], cluster.log()


def test_killed_job_gets_term_and_leaves_nothing(cluster: Cluster, engine: Place, nap: str) -> None:
    start(cluster, engine)
    command = f"trap 'echo got TERM; exit 3' TERM; sh -c 'exec {nap}' & echo up; wait"
    task = cluster.task(1, f": %DATA %IN %OUT; {command}", image=engine.image)
    log = cluster.out(task, 0) / "job.log"
    wait_until(lambda: log.exists() and "up" in log.read_text(), 30, cluster.log)
    lifecycle.kill_jobs(cluster.conn, task.id, [0], by="ana")
    cluster.wait_for(task, TaskState.FINALIZED, timeout=30)
    # runc may print something if it forwards the signal when the container has just ended.
    assert log.read_text().startswith("up\ngot TERM\n")
    assert log.read_text().count("TERM") == 1, log.read_text()
    assert with_text(nap) == []
    assert engine.left(cluster) == [], cluster.log()


def test_job_that_ignores_term_is_killed_with_hidden_processes(
    cluster: Cluster, engine: Place, nap: str
) -> None:
    start(cluster, engine)
    deaf = f"trap '' TERM INT HUP; setsid sh -c 'trap \"\" TERM; {nap}; {nap}' & "
    task = cluster.task(
        1,
        f": %DATA %IN %OUT; {deaf} while :; do sleep 0.2; done",
        image=engine.image,
        timeout=3.0,
        grace=0.5,
    )
    cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    assert ended(cluster, task)[0] == "timeout"
    assert with_text(nap) == []
    assert engine.left(cluster) == [], cluster.log()


def test_job_outlives_its_pilot_and_is_ended_by_the_next(
    cluster: Cluster, engine: Place, nap: str
) -> None:
    start(cluster, engine)
    task = cluster.task(
        2,
        f": %DATA %OUT; echo up; if grep 0 %IN; then {nap}; else sleep 4; fi",
        image=engine.image,
        grace=1.0,
    )
    logs = [cluster.out(task, job) / "job.log" for job in (0, 1)]
    wait_until(
        lambda: all(log.exists() and "up" in log.read_text() for log in logs), 30, cluster.log
    )
    cluster.pilots[0].send_signal(signal.SIGKILL)
    cluster.pilots[0].wait()
    cluster.pilot(
        "gauss", "--master", f"--runtime={engine.runtime.program}", env=dict(engine.runtime.env)
    )
    cluster.wait_for_job(task, 1, JobState.DONE, timeout=40)
    lifecycle.kill_jobs(cluster.conn, task.id, [0], by="ana")
    cluster.wait_for(task, TaskState.FINALIZED, timeout=40)
    assert with_text(nap) == []
    assert engine.left(cluster) == [], cluster.log()


def test_containers_of_a_dead_keeper_are_ended_by_the_agent(
    cluster: Cluster, engine: Place, nap: str
) -> None:
    start(cluster, engine)
    task = cluster.task(1, f": %DATA %IN %OUT; echo up; {nap}", image=engine.image, grace=0.5)
    log = cluster.out(task, 0) / "job.log"
    wait_until(lambda: log.exists() and "up" in log.read_text(), 30, cluster.log)
    before = wait_until(lambda: with_text(nap), describe=cluster.log)
    os.kill(cluster.keeper().pid, signal.SIGKILL)
    wait_until(lambda: [row[2] for row in cluster.attempts(task)][:1] == ["lost"], 60, cluster.log)
    assert not set(before) & set(with_text(nap))
    lifecycle.kill_jobs(cluster.conn, task.id, [0], by="ana")
    cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    assert with_text(nap) == []
    # Docker may have been creating its second container when the job was killed: it never runs and is removed.
    wait_until(lambda: engine.left(cluster) == [], 60, cluster.log)


@pytest.mark.parametrize("engine", ["podman", "docker"], indirect=True)
def test_container_created_after_the_end_of_its_job_is_removed(
    cluster: Cluster, engine: Place, nap: str
) -> None:
    """Docker's service continues to create a container after its client was killed, and never starts it."""
    start(cluster, engine)
    task = cluster.task(1, f": %DATA %IN %OUT; echo up; {nap}", image=engine.image, grace=0.5)
    log = cluster.out(task, 0) / "job.log"
    wait_until(lambda: log.exists() and "up" in log.read_text(), 30, cluster.log)
    lifecycle.kill_jobs(cluster.conn, task.id, [0], by="ana")
    cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    [(token,)] = cluster.conn.execute("select token from attempt").fetchall()
    engine.runtime("create", f"--label={TOKEN_LABEL}={token}", "--network=host", IMAGE, "true")
    assert len(engine.left(cluster)) == 1
    wait_until(lambda: engine.left(cluster) == [], 40, cluster.log)


def test_engine_without_answer_is_asked_again(cluster: Cluster, docker: Engine, nap: str) -> None:
    engine = Place(docker, f"docker://{IMAGE}")
    start(cluster, engine)
    task = cluster.task(
        1, f": %DATA %IN %OUT; trap '' TERM; echo up; {nap}; :", image=engine.image, grace=0.5
    )
    log = cluster.out(task, 0) / "job.log"
    wait_until(lambda: log.exists() and "up" in log.read_text(), 30, cluster.log)
    keeper = cluster.keeper()
    socket = Path(docker.env["DOCKER_HOST"].removeprefix("unix://"))
    away = socket.rename(socket.with_name("away"))
    try:
        os.kill(keeper.pid, signal.SIGKILL)
        wait_until(
            lambda: "docker does not answer" in str(nodes.get(cluster.conn, "gauss").message),
            30,
            cluster.log,
        )
        assert [row[2] for row in cluster.attempts(task)] == [None]
    finally:
        away.rename(socket)
    lifecycle.kill_jobs(cluster.conn, task.id, [0], by="ana")
    cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    assert with_text(nap) == []
    wait_until(lambda: engine.left(cluster) == [], 60, cluster.log)
    wait_until(lambda: nodes.get(cluster.conn, "gauss").message is None, 30, cluster.log)


def test_job_out_of_memory_is_reported(cluster: Cluster, engine: Place) -> None:
    start(cluster, engine)
    task = cluster.task(
        1,
        ": %DATA %IN %OUT; x=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; while :; do x=$x$x; done",
        image=engine.image,
        resources=Resources(memory_bytes=100_000_000),
    )
    cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    cause, _, _, reason = ended(cluster, task)
    assert cause == "out_of_memory", (reason, cluster.log())
    assert "ran out of memory" in str(reason)
    assert engine.left(cluster) == [], cluster.log()


def test_container_of_a_killed_client_is_ended(cluster: Cluster, engine: Place, nap: str) -> None:
    start(cluster, engine)
    task = cluster.task(1, f": %DATA %IN %OUT; echo up; {nap}", image=engine.image)
    log = cluster.out(task, 0) / "job.log"
    wait_until(lambda: log.exists() and "up" in log.read_text(), 30, cluster.log)
    (leader,) = [hello.pid for hello in running(cluster)]
    os.kill(leader, signal.SIGKILL)
    cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    # Another test may have run out of memory just now, which cannot be distinguished from this KILL.
    assert ended(cluster, task)[0] in ("signal", "out_of_memory")
    assert with_text(nap) == []
    assert engine.left(cluster) == [], cluster.log()
