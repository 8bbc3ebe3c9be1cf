"""Pilots with real PostgreSQL, real keepers, real jobs; attacked while they work."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from orchestra.domain.models.logs import LogSource
from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.tasks import Resources, Task
from orchestra.domain.states import JobState, Queue, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.files import job_logs
from orchestra.interface import following
from orchestra.pilot import scratch_roots
from orchestra.pilot.keeper_spool import is_alive, read_spool
from orchestra.services.jobs import views
from orchestra.services.nodes import drains, nodes
from orchestra.services.tasks import lifecycle, settings
from orchestra.store.tasks import tasks as task_store
from support.cluster import Cluster
from support.people import as_admin, caller
from support.waiting import wait_until

DONE, FAILED, KILLED, RUNNING = (
    JobState.DONE,
    JobState.FAILED,
    JobState.KILLED,
    JobState.RUNNING,
)

NEEDS = ": %DATA %IN %OUT; "
"""The tags that every command needs, said in a way that does nothing."""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that does not exist; jobs that wait for it run until it does."""
    return tmp_path / "gate"


def until(gate: Path) -> str:
    return f"until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done; "


def keepers(cluster: Cluster, node: str = "gauss") -> list[Path]:
    """The folders of a node's living keepers."""
    folders = cluster.home(node).glob("keepers/*")
    return [folder for folder in folders if is_alive(folder)]


# The work


def test_jobs_run_in_folders_of_their_own_and_are_done(cluster: Cluster) -> None:
    cluster.node()
    task = cluster.task(3, 'cat %DATA "%IN" > result; echo "out %OUT" | tee -a result; pwd')
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE)
    for job in range(3):
        out = cluster.out(task, job)
        assert out.readlink() == Path(f".attempts/job_configId_{job}/1")
        assert (out / "result").read_text() == f"data\n{job}\nout {out.resolve()}\n"
        assert (out / "job.log").read_text() == f"out {out.resolve()}\n{out.resolve()}\n"
    assert cluster.attempts(task) == [(job, 1, "exit", 0, None, None) for job in range(3)]


def test_two_hundred_quick_jobs_run_exactly_once_and_never_more_than_slots(
    cluster: Cluster, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    trace.mkdir()
    cluster.node(cpu=3)
    note = f'>> {shlex.quote(str(trace))}/"$ORCHESTRA_JOB"'
    say = "echo {0} $(date +%s%N) $ORCHESTRA_ATTEMPT " + note
    task = cluster.task(200, NEEDS + say.format("start") + "; " + say.format("end"))
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE, timeout=60)
    moments: list[tuple[int, int]] = []
    for job in range(200):
        (start, began, first), (end, ended, last) = (
            line.split() for line in (trace / str(job)).read_text().splitlines()
        )
        assert (start, end, first, last) == ("start", "end", "1", "1")
        moments += [(int(began), 1), (int(ended), -1)]
    alive = most = 0
    for _, change in sorted(moments):
        alive += change
        most = max(most, alive)
    assert 1 <= most <= 3
    assert len(cluster.attempts(task)) >= 200


def test_jobs_of_several_cores_take_several_slots(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=4)
    task = cluster.task(4, NEEDS + until(gate), resources=Resources(cores=2))
    cluster.pilot()
    wait_until(lambda: cluster.jobs(task).count(RUNNING) == 2, describe=cluster.log)
    wait_until(lambda: len(read_spool(keepers(cluster)[0]).running) == 2)
    gate.touch()
    cluster.wait_for(task, TaskState.DONE)


def test_gpu_jobs_get_devices_of_their_own(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=0, gpu=3)
    command = NEEDS + 'echo "$CUDA_VISIBLE_DEVICES" > devices; ' + until(gate)
    task = cluster.task(3, command, queue=Queue.GPU, resources=Resources(gpus=1))
    cluster.pilot(env={"CUDA_VISIBLE_DEVICES": "GPU-a, 7,3"})
    wait_until(lambda: cluster.jobs(task).count(RUNNING) == 3, describe=cluster.log)
    seen = {(cluster.out(task, job) / "devices").read_text().strip() for job in range(3)}
    assert seen == {"GPU-a", "7", "3"}
    gate.touch()
    cluster.wait_for(task, TaskState.DONE)


def test_a_job_of_the_cpu_queue_sees_no_device_and_no_secret(cluster: Cluster) -> None:
    cluster.node()
    task = cluster.task(1, NEEDS + "env > environment", env={"GIVEN": "a b"})
    cluster.pilot(env={"MAESTRO_POSTGRES": "hush!", "PGPASSWORD": "hush!"})
    cluster.wait_for(task, TaskState.DONE)
    found = (cluster.out(task, 0) / "environment").read_text()
    assert "CUDA_VISIBLE_DEVICES=-1\n" in found
    assert "GIVEN=a b\n" in found
    assert "hush!" not in found


def test_the_next_task_starts_without_waiting_for_a_poll(cluster: Cluster) -> None:
    cluster.node()
    first = cluster.task(1, NEEDS, name="first")
    cluster.pilot()
    cluster.wait_for(first, TaskState.DONE)
    config = cluster.configs(2, "more")
    second = cluster.task(2, NEEDS, name="second", config=config, data="user.ana.data")
    cluster.wait_for(second, TaskState.DONE, timeout=10)


# How jobs end


def test_failures_are_told_in_words(cluster: Cluster) -> None:
    cluster.node()
    task = cluster.task(
        4, NEEDS + "case $(cat %IN) in 0) echo no; exit 3;; 1) kill -9 $$;; 2) nix;; esac"
    )
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED)
    assert cluster.attempts(task) == [
        (0, 1, "exit", 3, None, "exit status 3"),
        (1, 1, "signal", None, 9, "killed by signal 9 (SIGKILL), not by Orchestra"),
        (2, 1, "exit", 127, None, "exit status 127 (command not found)"),
        (3, 1, "exit", 0, None, None),
    ]
    tail = cluster.conn.execute("select log_tail, log_bytes from attempt where ordinal = 0")
    assert tail.fetchone() == (b"no\n", 3)


def test_a_job_without_memory_is_told_apart(cluster: Cluster) -> None:
    cluster.node()
    take = f"{shlex.quote(sys.executable)} -S -c 'import time; x = bytearray(400 << 20); time.sleep(60)'; exit $?"
    resources = Resources(memory_bytes=200_000_000)
    task = cluster.task(1, NEEDS + take, resources=resources, retries=0)
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED)
    [(_, _, cause, _, _, reason)] = cluster.attempts(task)
    assert cause == "out_of_memory"
    assert re.fullmatch(
        r"ran out of memory: it used \d+ MB of the 200 MB that it may use \(--memory\)", reason
    )


def test_a_gpu_without_memory_is_told_by_the_log(cluster: Cluster) -> None:
    cluster.node(cpu=0, gpu=1)
    command = (
        NEEDS + "echo torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB; exit 1"
    )
    task = cluster.task(1, command, queue=Queue.GPU, resources=Resources(gpus=1))
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED)
    words = "exit status 1: the GPU's memory was full"
    assert cluster.attempts(task) == [(0, 1, "gpu_out_of_memory", 1, None, words)]


def test_a_long_log_is_cut_when_its_job_has_ended(cluster: Cluster) -> None:
    cluster.node()
    task = cluster.task(1, NEEDS + "seq 100000; exit 3")
    cluster.pilot("gauss", "--master", "--log-limit=100000")
    cluster.wait_for(task, TaskState.FINALIZED)
    text = (cluster.out(task, 0) / "job.log").read_text()
    assert text.startswith("1\n2\n3\n")
    assert text.endswith("99999\n100000\n")
    assert "\n[orchestra: 489 kB of this log of 589 kB left out here]\n" in text
    [length] = cluster.conn.execute("select log_bytes from attempt").fetchone() or [0]
    assert length == 588_895


def test_a_running_log_is_followed_by_who_cannot_see_the_volume(
    cluster: Cluster, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.node()
    task = cluster.task(1, NEEDS + "echo one; " + until(gate) + "echo two; exit 3")
    cluster.pilot()
    cluster.wait_for_job(task, 0, RUNNING)
    monkeypatch.setattr(job_logs, "open_log", lambda _: None)
    address = f"{task.id}/0"
    [attempt] = views.show(cluster.conn, address).attempts
    part = following.read_part(cluster.interface(), attempt, -3)
    assert (part.offset, part.data, part.source) == (1, b"ne\n", LogSource.RELAY)
    seen: list[bytes] = []

    def write(block: bytes) -> None:
        seen.append(block)
        if b"one\n" in seen:
            gate.touch()

    last = following.follow(cluster.interface(), address, attempt, write=write, turn=lambda _: None)
    assert b"".join(seen) == b"one\ntwo\n"
    assert last.exit_status == 3
    [(part, text)] = following.parts(cluster.interface(), last)
    assert (part.source, text) == (LogSource.TAIL, b"one\ntwo\n")  # it is the whole log


def test_a_job_that_lasts_too_long_is_ended(cluster: Cluster) -> None:
    cluster.node()
    task = cluster.task(1, NEEDS + "sleep 1000", timeout=0.3, grace=5.0)
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED)
    [(_, _, cause, _, number, reason)] = cluster.attempts(task)
    assert (cause, number, reason) == ("timeout", 15, "ran longer than its time limit of 300 ms")


def test_a_killed_job_is_ended_with_its_tree(cluster: Cluster, gate: Path) -> None:
    cluster.node()
    task = cluster.task(2, NEEDS + "setsid sleep 1000 & sleep 1000", grace=0.2)
    cluster.pilot()
    wait_until(lambda: cluster.jobs(task) == [RUNNING, RUNNING], describe=cluster.log)
    lifecycle.kill_jobs(cluster.conn, task.id, [1], by="ana")
    cluster.wait_for_job(task, 1, KILLED)
    assert cluster.jobs(task)[0] is RUNNING
    [_, (_, _, cause, _, _, reason)] = cluster.attempts(task)
    assert (cause, reason) == ("ended", "ended because it was killed on request")
    tokens = cluster.conn.execute("select token from attempt where ordinal = 1").fetchone()
    assert tokens
    assert not processes_of(str(tokens[0]))


def processes_of(token: str) -> list[str]:
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if token.encode() in environ.read_bytes():
                found.append(environ.parent.name)
        except OSError:
            continue
    return found


def test_a_job_without_its_complete_file_is_not_done(cluster: Cluster) -> None:
    cluster.node()
    command = NEEDS + "[ $(cat %IN) = 0 ] || touch finished.txt"
    task = cluster.task(2, command, complete_file="finished.txt")
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED)
    assert cluster.jobs(task) == [FAILED, DONE]
    [(_, _, cause, status, _, reason), _] = cluster.attempts(task)
    assert (cause, status) == ("not_complete", 0)
    assert "finished.txt is missing" in reason


def test_a_changed_config_holds_its_task(cluster: Cluster) -> None:
    cluster.node()
    task = cluster.task(3, NEEDS)
    (cluster.folder / "work-configs" / "config.1.txt").write_text("changed since\n")
    cluster.pilot()

    def why() -> str | None:
        found = task_store.by_id(cluster.conn, task.id)
        return found.hold.reason if found and found.hold else None

    reason = wait_until(why, describe=cluster.log)
    assert reason
    assert "config.1.txt has changed since it was registered" in reason
    wait_until(lambda: cluster.jobs(task).count(DONE) == 2, describe=cluster.log)
    (cluster.folder / "work-configs" / "config.1.txt").write_text("1\n")
    lifecycle.apply(cluster.conn, task.id, TaskInput.RELEASE, by="ana")
    cluster.wait_for(task, TaskState.DONE)


def test_a_retried_job_writes_beside_its_first_result(cluster: Cluster, gate: Path) -> None:
    cluster.node()
    task = cluster.task(1, NEEDS + "echo $ORCHESTRA_ATTEMPT > result; [ $ORCHESTRA_ATTEMPT != 2 ]")
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE)
    for state, shown in ((TaskState.FINALIZED, "1\n"), (TaskState.DONE, "3\n")):
        lifecycle.retry_jobs(cluster.conn, task.id, [0], by="ana")
        cluster.wait_for(task, state)
        assert (cluster.out(task, 0) / "result").read_text() == shown


def test_a_resumed_job_goes_on_in_its_folder(cluster: Cluster) -> None:
    cluster.node()
    task = cluster.task(
        1, NEEDS + "echo x >> steps; [ $(wc -l < steps) = 3 ]", resume=True, retries=5
    )
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE)
    assert cluster.out(task, 0).readlink().name == "1"
    assert len(cluster.attempts(task)) == 3


# Attacks


def test_a_killed_agent_is_followed_by_one_that_adopts_its_jobs(
    cluster: Cluster, gate: Path
) -> None:
    cluster.node(cpu=3)
    other = gate.with_name("other")
    keep, fetch = 'touch "$ORCHESTRA_SCRATCH/x"; ', 'rm "$ORCHESTRA_SCRATCH/x" || exit 1; '
    first_exits = f"[ $(cat %IN) != 0 ] || {{ {until(other)} exit 5; }}; "
    command = f"{NEEDS}{keep}{first_exits}{until(gate)}{fetch}exit 7"
    task = cluster.task(4, command)
    first = cluster.pilot()
    wait_until(lambda: cluster.jobs(task)[:3] == [RUNNING] * 3, describe=cluster.log)
    first.kill()
    first.wait()
    # What runs was started without a time limit and keeps that; the job that waits gets the new one.
    settings.change(cluster.conn, caller(cluster.conn), task.id, NewSettings(timeout=0.3))
    other.touch()  # job 0 ends while nobody decides
    [keeper] = keepers(cluster)
    wait_until(lambda: len(read_spool(keeper).outcomes) == 1)
    left = cluster.home() / "scratch/0badc0de-5"  # prepared by an agent that was killed
    left.mkdir()
    cluster.pilot()
    wait_until(lambda: not left.exists(), describe=cluster.log)
    for job in (0, 3):
        cluster.wait_for_job(task, job, FAILED)
    assert cluster.jobs(task)[1:3] == [RUNNING, RUNNING]
    gate.touch()
    cluster.wait_for(task, TaskState.FINALIZED)
    assert [(a[0], a[1], a[2], a[3]) for a in cluster.attempts(task)] == [
        (0, 1, "exit", 5),
        (1, 1, "exit", 7),
        (2, 1, "exit", 7),
        (3, 1, "timeout", None),
    ]
    assert keepers(cluster) == [keeper]


def test_a_keeper_whose_agent_was_killed_starts_another(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=2)
    task = cluster.task(4, NEEDS + until(gate) + "exit $(cat %IN)")
    first = cluster.pilot(
        "gauss", "--master", "--successor-after=0.3", env={"MAESTRO_EXAMPLE": "hush"}
    )
    wait_until(lambda: cluster.jobs(task).count(RUNNING) == 2, describe=cluster.log)
    [keeper] = keepers(cluster)
    first.kill()
    first.wait()
    [successor] = wait_until(cluster.successors, describe=cluster.log)
    os.kill(successor, signal.SIGKILL)
    wait_until(lambda: set(cluster.successors()) - {successor}, describe=cluster.log)
    gate.touch()
    cluster.wait_for(task, TaskState.FINALIZED)
    assert [attempt[:4] for attempt in cluster.attempts(task)] == [
        (job, 1, "exit", job) for job in range(4)
    ]
    assert keepers(cluster) == [keeper]


def test_a_pilot_that_leaves_is_not_started_again(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=1)
    task = cluster.task(2, NEEDS + until(gate))
    pilot = cluster.pilot("gauss", "--master", "--successor-after=0.1")
    cluster.wait_for_job(task, 0, RUNNING)
    pilot.send_signal(signal.SIGTERM)
    wait_until(lambda: "claiming no more jobs" in cluster.log())
    pilot.kill()  # its successor claims nothing either
    wait_until(cluster.successors, describe=cluster.log)
    gate.touch()
    cluster.wait_for_job(task, 0, DONE)
    wait_until(lambda: not cluster.successors() and not keepers(cluster), describe=cluster.log)
    assert cluster.jobs(task) == [DONE, JobState.ASSIGNED]


def has_done(cluster: Cluster, task: Task, jobs: int) -> bool:
    return cluster.jobs(task).count(DONE) >= jobs


def test_a_cut_connection_loses_nothing(cluster: Cluster) -> None:
    cluster.node(cpu=2)
    task = cluster.task(60, NEEDS + "echo $ORCHESTRA_ATTEMPT >> ../ran; sleep 0.05")
    cluster.pilot()
    for some in (5, 15, 25):
        wait_until(partial(has_done, cluster, task, some), 30, describe=cluster.log)
        cluster.conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name like 'pilot%' and datname = current_database()"
        )
    cluster.wait_for(task, TaskState.DONE, timeout=60)
    for job in range(60):
        ran = Path(task.folder, ".attempts", f"job_configId_{job}", "ran").read_text()
        assert len(ran.splitlines()) == 1
    assert "the database is available again" in cluster.log()


def test_a_killed_keeper_loses_its_attempts_and_ends_them(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=1)
    fill = (
        'cd "$ORCHESTRA_SCRATCH" && mkdir a && touch a/b && chmod -R a-w . && cd %OUT || exit 1; '
    )
    command = NEEDS + fill + f"[ $ORCHESTRA_ATTEMPT = 2 ] || {{ {until(gate)} }}"
    task = cluster.task(1, command, grace=1.0)
    cluster.pilot()
    cluster.wait_for_job(task, 0, RUNNING)
    [keeper] = keepers(cluster)
    token = str(read_spool(keeper).running[0].key.token)
    subprocess.run(["kill", "-9", str(read_spool(keeper).pid)], check=True)
    cluster.wait_for(task, TaskState.DONE)
    first, second = cluster.attempts(task)
    assert first[2] == "lost"
    assert second[:4] == (0, 2, "exit", 0)
    assert not processes_of(token)
    assert not keeper.exists()
    scratch = cluster.home() / "scratch"
    wait_until(lambda: os.listdir(scratch) == [scratch_roots.MARK], describe=cluster.log)


def test_a_second_pilot_of_the_node_takes_over(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=1)
    task = cluster.task(1, NEEDS + until(gate))
    first = cluster.pilot()
    cluster.wait_for_job(task, 0, RUNNING)
    second = cluster.pilot()
    assert first.wait(15) == 0
    assert cluster.jobs(task) == [RUNNING]
    gate.touch()
    cluster.wait_for(task, TaskState.DONE)
    assert len(cluster.attempts(task)) == 1
    assert second.poll() is None


# Leaving


def test_a_pilot_asked_to_leave_ends_with_its_last_job(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=1)
    task = cluster.task(2, NEEDS + until(gate))
    pilot = cluster.pilot()
    cluster.wait_for_job(task, 0, RUNNING)
    assert nodes.stop(cluster.conn, as_admin(cluster.conn), "gauss")
    wait_until(lambda: "claiming no more jobs" in cluster.log())
    assert pilot.poll() is None
    gate.touch()
    assert pilot.wait(15) == 0
    assert cluster.jobs(task) == [DONE, JobState.ASSIGNED]
    wait_until(lambda: keepers(cluster) == [])
    assert not nodes.get(cluster.conn, "gauss").online


def test_a_pilot_told_to_leave_now_gives_its_jobs_back(cluster: Cluster, gate: Path) -> None:
    cluster.node(cpu=1)
    task = cluster.task(1, NEEDS + until(gate), grace=1.0)
    pilot = cluster.pilot()
    cluster.wait_for_job(task, 0, RUNNING)
    nodes.stop(cluster.conn, as_admin(cluster.conn), "gauss", now=True)
    assert pilot.wait(15) == 0
    assert cluster.jobs(task) == [JobState.ASSIGNED]
    gate.touch()
    cluster.pilot()
    cluster.wait_for(task, TaskState.DONE)
    assert cluster.attempts(task)[1][:4] == (0, 2, "exit", 0)


def test_a_signal_leaves_the_jobs_to_a_pilot_in_the_background(
    cluster: Cluster, gate: Path
) -> None:
    cluster.node(cpu=1)
    task = cluster.task(2, NEEDS + until(gate))
    pilot = cluster.pilot("gauss", "--terminal", "--master", stderr=subprocess.PIPE)
    cluster.wait_for_job(task, 0, RUNNING)
    pilot.send_signal(signal.SIGINT)
    assert pilot.wait(15) == 0
    assert pilot.stderr
    assert "1 job keeps running; a pilot in the background" in pilot.stderr.read()
    assert cluster.jobs(task)[0] is RUNNING
    gate.touch()
    cluster.wait_for_job(task, 0, DONE)
    wait_until(lambda: keepers(cluster) == [], describe=cluster.log)
    assert cluster.jobs(task) == [DONE, JobState.ASSIGNED]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_an_idle_pilot(cluster: Cluster, number: signal.Signals) -> None:
    cluster.node()
    pilot = cluster.pilot()
    wait_until(lambda: keepers(cluster), describe=cluster.log)
    pilot.send_signal(number)
    assert pilot.wait(15) == 0
    wait_until(lambda: keepers(cluster) == [])


def test_a_drained_node_takes_nothing_and_a_resumed_one_does(cluster: Cluster) -> None:
    cluster.node()
    cluster.pilot()
    wait_until(lambda: keepers(cluster), describe=cluster.log)
    drains.drain(cluster.conn, as_admin(cluster.conn), "gauss", reason="new disk")
    task = cluster.task(1, NEEDS)
    wait_until(lambda: cluster.state(task) is TaskState.RUNNING)
    assert cluster.attempts(task) == []
    drains.resume(cluster.conn, as_admin(cluster.conn), "gauss")
    cluster.wait_for(task, TaskState.DONE)


def test_a_pilot_of_an_unknown_node_says_so(cluster: Cluster) -> None:
    pilot = cluster.pilot("nowhere", stderr=subprocess.PIPE)
    assert pilot.stderr
    assert 'error: there is no node "nowhere".' in pilot.stderr.read()
    assert pilot.wait(10) == 2
