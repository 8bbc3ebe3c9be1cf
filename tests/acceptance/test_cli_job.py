"""`maestro job`, as people type it, with jobs that a real pilot runs."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, TaskState
from support.cluster import Cluster
from support.maestro import Maestro
from support.waiting import wait_until
from support.world import World

pytestmark = pytest.mark.both_ways

COMMAND = 'test -e %DATA && cat %IN && echo "to $ORCHESTRA_OUT" && printf x > %OUT/result && test "$(cat %IN)" != 1'


@pytest.fixture
def cluster(cluster: Cluster) -> Cluster:
    """A node of two slots; the pilot is started by who needs it."""
    cluster.node()
    return cluster


@pytest.fixture
def ended(cluster: Cluster) -> Task:
    """A task of four jobs, of which job 1 failed."""
    task = cluster.task(4, COMMAND)
    cluster.pilot()
    cluster.wait_for(task, TaskState.FINALIZED)
    return task


JOB: dict[str, Any] = {
    "task_id": int,
    "ordinal": int,
    "state": str,
    "config": str,
    "is_test": bool,
    "attempts": int,
    "handed_back": int,
    "failures": int,
    "losses": int,
    "done_attempt": int,
    "node": str,
    "cause": str,
    "exit_status": int,
    "signal": type(None),
    "reason": type(None),
    "started_at": str,
    "seconds": float,
    "changed_at": str,
    "inputs_note": type(None),
    "removed": bool,
}
RUN: dict[str, Any] = {
    "attempt": int,
    "node": str,
    "run": int,
    "revision": int,
    "timeout_seconds": type(None),
    "cores": int,
    "gpus": int,
    "memory_limit_bytes": type(None),
    "cpus_gpu_job": int,
    "gpu_milli": type(None),
    "vram_bytes": type(None),
    "scratch_bytes": type(None),
    "exclusive": bool,
    "is_test": bool,
    "claimed_at": str,
    "started_at": str,
    "ended_at": str,
    "lost_at": type(None),
    "folder": str,
    "devices": type(None),
    "device_models": list,
    "cause": str,
    "exit_status": int,
    "signal": type(None),
    "reason": type(None),
    "seconds": float,
    "cpu_seconds": float,
    "max_rss_bytes": int,
    "gpu_seconds": type(None),
    "accepted": bool,
    "log_bytes": int,
    "config_sha256": str,
    "image_digest": type(None),
    "inputs_note": type(None),
}


def types(record: dict[str, Any]) -> dict[str, type]:
    return {key: type(value) for key, value in record.items()}


def test_jobs_that_have_ended_are_listed_shown_and_their_logs_read(
    maestro: Maestro, ended: Task, cluster: Cluster
) -> None:
    listed = maestro.line("job list 0 -o json").json
    assert [job["state"] for job in listed] == ["done", "failed", "done", "done"]
    assert types(listed[0]) == {**JOB, "task": str}
    assert maestro.line("job list -o json").json == listed
    found = maestro.line("job list --state done --node gauss --config config.[23].* --since 1d -q")
    assert found.out.split() == ["0/2", "0/3"]
    page = maestro.line("job list --config *.txt --limit 2")
    assert page.out.splitlines()[1].split()[:2] == ["0/0", "user.ana.work"]
    assert "2; the next ones: maestro job list --config '*.txt' --limit 2 --from 0/2" in page.err
    page = maestro.line("job list --from 0/1 --limit 2")
    assert "2 of 4; the next ones: maestro job list --limit 2 --from 0/3" in page.err
    assert "In the tasks of ana no job matches." in maestro.line("job list --node nowhere").err
    assert "neither a duration nor a date" in maestro.refused("job", "list", "--since", "lately")
    assert "-u and -a have no meaning" in maestro.refused("job", "list", "0", "-a")
    assert "--from TASK/3" in maestro.refused("job", "list", "--from", "3")
    failed = maestro.line("job list user.ana.work --state failed -o json").json
    assert [job["ordinal"] for job in failed] == [1]
    table = maestro.line("job list 0").out
    assert "exit status 1" in table
    assert "config.3.txt" in table

    shown = maestro.line("job show 0/1 -o json").json
    assert types(shown["runs"][0]) == {**RUN, "reason": type(shown["runs"][0]["reason"])}
    text = maestro.line("job show user.ana.work/1").out
    assert "job 0/1 of user.ana.work   FAILED   1 attempt" in text
    assert "attempt 1   on gauss   exit status 1" in text
    assert str(cluster.folder) in text
    by_config = Path(ended.folder) / "by-config" / "config.3.txt"
    assert by_config.readlink() == Path("../job_configId_3")
    assert by_config.resolve() == Path(ended.folder).resolve() / ".attempts/job_configId_3/1"

    failure = f"1\nto {ended.folder}/.attempts/job_configId_1/1\n"
    title = "==> 1 x exit status 1: job 0/1, node gauss, config config.1.txt <==\n"
    assert maestro.line("task logs 0").out == title + failure
    assert maestro.line("task logs -t work -n 1").out == title + failure.partition("\n")[2]
    title = "==> job 0/1, node gauss, config config.1.txt: exit status 1 <==\n"
    assert maestro.line("job logs work --failed").out == title + failure
    assert maestro.line("job logs 0/1 --failed").out == failure
    assert "job 0/2 has no failed attempt" in maestro.refused("job", "logs", "0/2", "--failed")
    assert "without -f" in maestro.refused("job", "logs", "0", "--failed", "-f")
    shutil.rmtree(Path(ended.folder) / ".attempts" / "job_configId_1")
    kept = maestro.line("task logs 0")
    assert kept.out.endswith(f"<==\n{failure}")
    assert "no longer exists; this is the log, from the database" in kept.err

    said = maestro.line("job logs 0/2")
    folder = Path(ended.folder) / ".attempts" / "job_configId_2" / "1"
    assert said.out == f"2\nto {folder}\n"
    assert maestro.line("job logs 0/2 -n 1").out == f"to {folder}\n"
    assert maestro.line("job logs 0/2 -f").out == said.out
    shutil.rmtree(folder)
    kept = maestro.line("job logs 0/2")
    assert kept.out == said.out
    assert "no longer exists; this is the log, from the database" in kept.err
    assert "no attempt 2; its attempts are numbered only 1" in maestro.refused(
        "job", "logs", "0/2", "--attempt", 2
    )


def test_retry_runs_jobs_again(maestro: Maestro, ended: Task, cluster: Cluster) -> None:
    said = maestro.line("job retry 0/1 0/2-3")
    assert said.out.splitlines() == [
        "0/1 of user.ana.work: 1 job to run again, before the others",
        "0/2-3 of user.ana.work: 2 jobs to run again, before the others",
    ]
    wait_until(lambda: maestro.line("job show 0/1 -o json").json["attempts"] == 2)
    cluster.wait_for(ended, TaskState.FINALIZED)
    assert len(maestro.line("job show 0/1 -o json").json["runs"]) == 2
    assert maestro.line("job logs 0/1 --attempt 1").out != maestro.line("job logs 0/1").out

    # The same for all jobs that match, after a look at what it would do.
    assert maestro.line("job list 0 --reason exit:1 -q").out == "0/1\n"
    assert maestro.line("job list 0 --line '*nothing*' -q").out == ""
    would = maestro.line("job retry 0 --state failed --node gauss --dry-run").out.splitlines()
    assert would[0] == "task 0 (user.ana.work): retry"
    assert would[1].startswith("    Runs 1 job again, before the others of the task")
    assert maestro.line("job show 0/1 -o json").json["attempts"] == 2
    said = maestro.line("job retry 0 --reason exit:1")
    assert said.out == "task 0 (user.ana.work): 1 job to run again, before the others\n"
    cluster.wait_for(ended, TaskState.FINALIZED)
    assert maestro.line("job show 0/1 -o json").json["attempts"] == 3
    assert "is not a reason" in maestro.refused("job", "retry", "0", "--reason", "why")
    assert "names a job, so" in maestro.refused("job", "retry", "0/1", "--state", "failed")
    assert "not a state of jobs" in maestro.refused("job", "kill", "0", "--state", "lost")
    assert "goes with a task and a filter" in maestro.refused("job", "retry", "0/1", "--dry-run")


def test_follow_goes_on_to_the_next_attempt(maestro: Maestro, cluster: Cluster) -> None:
    command = (
        ": %DATA %IN %OUT; echo begin $ORCHESTRA_ATTEMPT; "
        f"until test -e '{maestro.folder}/go'$ORCHESTRA_ATTEMPT; do sleep 0.05; done; "
        "echo end; test $ORCHESTRA_ATTEMPT = 2"
    )
    task = cluster.task(1, command, retries=1)
    cluster.pilot()
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    following = maestro.start("job", "logs", "0/0", "-f")
    assert following.stdout is not None
    assert following.stdout.readline() == "begin 1\n"
    (maestro.folder / "go1").touch()
    assert following.stdout.readline() == "end\n"
    (maestro.folder / "go2").touch()
    out, err = following.communicate(timeout=30)
    assert following.returncode == 0
    assert out == "begin 2\nend\n"
    assert "--- attempt 2, on gauss" in err


def test_follow_waits_for_a_job_that_has_not_begun(maestro: Maestro, cluster: Cluster) -> None:
    task = cluster.task(1, ": %DATA %IN %OUT; echo at last")
    following = maestro.start("job", "logs", "0/0", "-f")
    assert following.stderr is not None
    assert "Job 0 of task 0 (user.ana.work) is waiting" in following.stderr.readline()
    cluster.pilot()
    out, err = following.communicate(timeout=60)
    assert (following.returncode, out) == (0, "at last\n")
    assert "--- attempt 1: exit status 0" in err
    cluster.wait_for(task, TaskState.DONE)


def test_follow_of_a_job_that_waits_ends_with_ctrl_c_or_with_the_job(
    maestro: Maestro, cluster: Cluster
) -> None:
    cluster.task(1, ": %DATA %IN %OUT; echo never")
    first, second = (maestro.start("job", "logs", "0/0", "-f") for _ in range(2))
    for each in (first, second):
        assert each.stderr is not None
        assert "is waiting" in each.stderr.readline()
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=30)
    assert first.returncode == 130
    assert "Traceback" not in err
    maestro.line("task kill 0")
    World(cluster.conn).conduct(3)
    _, err = second.communicate(timeout=30)
    assert second.returncode == 2
    assert "has not run yet" in err


def test_kill_ends_a_running_job(maestro: Maestro, cluster: Cluster) -> None:
    task = cluster.task(2, ": %DATA %IN %OUT; sleep 600")
    cluster.pilot()
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    assert "1 job killed or being killed" in maestro.line("job kill 0/0 --reason enough").out
    cluster.wait_for_job(task, 0, JobState.KILLED)
    assert "all have already ended" in maestro.line("job kill 0/0").out
    assert cluster.jobs(task)[1] is JobState.RUNNING
    for would in ("job kill 0 --node gauss --dry-run", "task kill 0 --dry-run"):
        assert "    Ends 1 running job, which has used" in maestro.line(would).out
    assert cluster.jobs(task)[1] is JobState.RUNNING
    said = maestro.line("job kill 0 --state running").out
    assert said == "task 0 (user.ana.work): 1 job killed or being killed\n"
    cluster.wait_for_job(task, 1, JobState.KILLED)


def test_run_here_runs_the_same_command_without_the_database(
    maestro: Maestro, cluster: Cluster
) -> None:
    command = "cp %IN %OUT/copy && env > %OUT/env && touch $ORCHESTRA_SCRATCH/x && pwd && echo $WHAT && exit 7"
    cluster.task(3, "test -e %DATA && " + command, data=cluster.data(), env={"WHAT": "it's $(x)"})
    events = _events(cluster)
    for number in (1, 2):
        said = maestro.line("job run --here user.ana.work/2", status=7)
        folder = maestro.folder / f"orchestra-run_0_2_{number}"
        assert said.out == f"{folder}\nit's $(x)\n"
        assert (folder / "copy").read_text() == "2\n"
        variables = (folder / "env").read_text()
        assert f"ORCHESTRA_OUT={folder}" in variables
        assert "ORCHESTRA_JOB=2" in variables
        assert "MAESTRO_" not in variables
        scratch = dict(line.partition("=")[::2] for line in variables.splitlines())[
            "ORCHESTRA_SCRATCH"
        ]
        assert not Path(scratch).exists()
    assert _events(cluster) == events
    assert maestro.line("job show 0/2 -o json").json["attempts"] == 0


def _events(cluster: Cluster) -> Any:
    return cluster.conn.execute("select count(*) from event").fetchone()


def test_long_lists_are_shown_in_pages(maestro: Maestro, cluster: Cluster) -> None:
    cluster.task(60, "x %DATA %IN %OUT")
    said = maestro.line("job list 0")
    assert len(said.out.splitlines()) == 51
    assert "50 of 60; the next ones: maestro job list 0 --from 50" in said.err
    assert len(json.loads(maestro.line("job list 0 --from 50 -o json").out)) == 10
    # Lists for programs are complete unless a limit is asked for.
    every = [f"0/{n}" for n in range(60)]
    assert maestro.line("job list 0 -q").out.split() == every
    assert [job["ordinal"] for job in json.loads(maestro.line("job list 0 -o json").out)] == list(
        range(60)
    )
    assert maestro.line("job list 0 -q --limit 7").out.split() == every[:7]
    assert maestro.line("job list 0 -o json --state done").out == "[]\n"
    few = maestro.line("job list 0 --state registered --limit 7")
    assert (
        "7 of 60; the next ones: maestro job list 0 --state registered --limit 7 --from 7"
        in few.err
    )
    assert "no job is done" in maestro.line("job list 0 --state done").err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["show", "0/99"], "has no job 99; its jobs are numbered 0 to 3"),
        (["show", "5/0"], "there is no task 5"),
        (["show", "0"], "does not name a job"),
        (["show", "0/1-2"], "names 2 jobs"),
        (["logs", "0/0"], "has not run yet"),
        (["logs", "0/0", "-n", "0"], "-n needs at least 1 line"),
        (["list", "0", "--state", "don"], 'Did you mean "done"?'),
        (["list", "0", "--limit", "0"], "at least one job"),
        (["retry", "0/0"], "have not been released yet"),
        (["kill", "0/4"], "has no job 4"),
        (["run", "0/0"], "--here"),
    ],
)
def test_mistakes_are_one_sentence(
    maestro: Maestro, cluster: Cluster, words: list[str], says: str
) -> None:
    cluster.task(4, "x %DATA %IN %OUT")
    assert says in maestro.refused("job", *words)
