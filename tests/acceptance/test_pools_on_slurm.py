"""Pools on a real Slurm of four nodes: pilots come with the work and leave after it, whatever goes wrong meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from support import fake_slurm
from support.fake_slurm import Answer, refused
from support.fake_slurm_program import COMMANDS
from support.maestro import Maestro
from support.ordinary import PACKAGES, SOURCE, Ordinary
from support.pools import SLOTS, Pools
from support.slurm import Slurm
from support.slurm import started as slurm_started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

BY_CGROUP, BY_PARENTS = {"proctrack": "cgroup"}, {"proctrack": "linuxproc"}
SOON_DOWN = {"settings": ["SlurmdTimeout=4", "MessageTimeout=4", "AuthInfo=cred_expire=5"]}
"""A node is down soon after its slurmd; a job that is started again waits for seconds instead of minutes."""


@pytest.fixture
def pools(maestro: Maestro, slurm: Slurm, conn: psycopg.Connection) -> Pools:
    return Pools(maestro, slurm, conn)


@contextmanager
def watched(slurm: Slurm) -> Iterator[list[int]]:
    """How many jobs Slurm had at once, from time to time."""
    counts: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.3):
            counts.append(sum(job.state != "COMPLETING" for job in slurm.live()))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("slurm", "jobs"),
    [(BY_CGROUP, 2000), (BY_PARENTS, 200)],
    indirect=["slurm"],
    ids=["cgroup", "linuxproc"],
)
def test_pilots_come_with_the_work_and_leave_after_it(pools: Pools, jobs: int) -> None:
    slurm = pools.slurm
    pools.create()
    pools.run()
    with watched(slurm) as counts:
        pools.task(jobs, f"sleep {200 / jobs}")
        pools.finished(jobs, timeout=150)
        pools.gone()
    assert max(counts) == 4
    ends = [(job, cause, accepted) for job, _, _, cause, accepted in pools.attempts()]
    assert ends == [(job, "exit", True) for job in range(jobs)], pools.report()
    allocations = pools.allocations()
    assert len(allocations) == len(slurm.jobs()) >= 4
    assert all(each.served for each in allocations), pools.report()
    assert {job.state for job in slurm.jobs().values()} == {"COMPLETED"}, pools.report()
    for node in ("n1", "n2", "n3", "n4"):
        assert slurm.processes(node) == {}
        assert list((slurm.folder / "nodes" / node / "tmp" / "pilots").rglob("*.log")) == []


@pytest.mark.parametrize("slurm", [SOON_DOWN], indirect=True)
def test_what_slurm_takes_away_costs_no_retry(pools: Pools) -> None:
    """`scancel`, a job that is started again, a node that is drained, and a time limit in the middle of jobs."""
    slurm = pools.slurm
    pools.create(idle="5s")
    pools.run()
    go = pools.maestro.folder / "go"
    jobs = 4 * SLOTS
    pools.task(jobs, f"until [ -e {go} ]; do sleep 0.1; done", "--retries", 0)
    pools.serves(4)
    pools.until(lambda: len(pools.running()) == jobs)
    by_scancel, again, drained, timed = (job.id for job in slurm.live())
    slurm("scancel", by_scancel)
    slurm("scontrol", "update", f"JobId={again}", "Requeue=1")
    slurm("scontrol", "requeue", again)
    slurm.drain(slurm.jobs()[drained].nodes)
    slurm("scontrol", "update", f"JobId={timed}", "EndTime=now+2")
    slurm.wait_for(by_scancel, "CANCELLED")
    pools.until(lambda: slurm.jobs()[timed].state in ("COMPLETED", "TIMEOUT", "FAILED"))
    pools.until(lambda: len(pools.running()) == 3 * SLOTS, 60)  # three nodes are left
    go.touch()
    pools.finished(jobs)
    pools.gone(60)
    ends = {
        job: (number, cause) for job, number, _, cause, _ in pools.attempts()
    }  # the last of each
    assert [cause for _, cause in ends.values()] == ["exit"] * jobs
    assert max(number for number, _ in ends.values()) > 1


@pytest.mark.parametrize("slurm", [SOON_DOWN], indirect=True)
def test_a_node_that_slurm_has_lost_goes_on_and_one_that_is_dead_costs_nothing(
    pools: Pools,
) -> None:
    slurm = pools.slurm
    pools.maestro.env["MAESTRO_LEASE"] = "10s"
    pools.create(max_pilots=2)
    pools.run()
    go = pools.maestro.folder / "go"
    jobs = 2 * SLOTS
    pools.task(jobs, f"until [ -e {go} ]; do sleep 0.1; done", "--retries", 0, "--grace", "1s")
    pools.serves(2)
    pools.until(lambda: len(pools.running()) == jobs)
    lost, dead = slurm.live()
    slurm.kill_slurmd(lost.nodes)
    slurm.power_off(dead.nodes)
    slurm.wait_for(lost.id, "NODE_FAIL")
    slurm.wait_for(dead.id, "NODE_FAIL")
    there = {name for name in pools.running() if f"-{lost.id}-" in name}
    assert len(there) == 1
    pools.until(lambda: len({*pools.running()} - there) == 1 and len(pools.running()) == jobs, 90)
    go.touch()
    pools.finished(jobs)
    slurm.start_slurmd(lost.nodes)
    pools.gone(60)
    by_node = [(number, cause) for _, number, node, cause, _ in pools.attempts() if node in there]
    assert by_node[:SLOTS] == [(1, "exit")] * SLOTS


@pytest.mark.parametrize("slurm", [SOON_DOWN], indirect=True)
def test_without_its_controller_a_pool_waits(pools: Pools) -> None:
    """It is stopped and hangs; a submission that it takes up later is no second allocation."""
    slurm = pools.slurm
    pools.create(max_pilots=1)
    pools.run()
    slurm.stop_controller()
    pools.task(30, "sleep 0.5")
    pools.until(lambda: "controller" in pools.maestro.line("pool show mesh").out)
    slurm.start_controller()
    pools.serves(1, timeout=60)
    with slurm.frozen():
        pools.finished(30)
    pools.task(4, "true", name="more")
    pools.finished(34)
    pools.gone(60)
    assert all(each.served for each in pools.allocations() if each.engine_id), pools.report()


def _before_the_real_one(folder: Path) -> fake_slurm.FakeSlurm:
    real = {name: found for name in COMMANDS if (found := shutil.which(name))}
    return fake_slurm.installed(folder, real=real)


def test_most_submissions_are_refused(pools: Pools, tmp_path: Path) -> None:
    before = _before_the_real_one(tmp_path / "before")
    no = refused("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy")
    before.say("sbatch", no, no, no, no, Answer(), cycle=True)
    pools.create(max_pilots=1)
    pools.run(path=before.path)
    pools.task(4, "true")
    pools.until(
        lambda: "Job violates accounting/QOS policy" in pools.maestro.line("pool show mesh").out
    )
    pools.finished(4)
    pools.gone()
    assert len(before.calls("sbatch")) == 5
    assert [each.served for each in pools.allocations() if each.engine_id] == [True]


def test_a_submission_that_is_answered_too_late_is_found_by_its_name(
    pools: Pools, tmp_path: Path
) -> None:
    before = _before_the_real_one(tmp_path / "before")
    before.say(
        "sbatch",
        Answer(late=60),
        Answer(out="", err="sbatch: error: Unable to contact slurm controller\n", status=1),
    )
    pools.create(max_pilots=1)
    pools.run(path=before.path)
    for name, done in (("late", 4), ("false", 8)):
        pools.task(4, "true", name=name)
        pools.finished(done)
        pools.gone()
    assert len(before.calls("sbatch")) == len(pools.slurm.jobs()) == 2
    assert [each.served for each in pools.allocations()] == [True, True]


def test_the_process_that_submits_is_killed_at_any_moment(pools: Pools) -> None:
    """Another one takes over, finds what the first one has submitted, and submits nothing twice."""
    pools.create(cpus=2, max_pilots=4)
    pools.task(48, "sleep 0.5")
    for _ in range(3):
        process = pools.run()
        before = len(pools.allocations())
        pools.until(lambda n=before: len(pools.allocations()) > n or pools.done() == 48)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with watched(pools.slurm) as counts:
        pools.run()
        pools.finished(48)
        pools.gone(60)
    assert max(counts) <= 4
    names = [job.name for job in pools.slurm.jobs().values()]
    assert len(set(names)) == len(names)


def test_a_pool_runs_the_jobs_of_its_own_account(
    maestro: Maestro, conn: psycopg.Connection, ordinary: Ordinary, tcp_database_url: str
) -> None:
    """Pilots of the account nobody take no job of root, who has a pool on the same cluster."""
    interpreter = ordinary.interpreter()
    assert interpreter
    folder = ordinary.home / "work"
    folder.mkdir()
    os.chown(folder, ordinary.uid, ordinary.gid)
    as_nobody = ("setpriv", f"--reuid={ordinary.uid}", f"--regid={ordinary.gid}", "--clear-groups")
    program = (interpreter, "-m", "orchestra.cli.main")
    other = Maestro(ordinary.home, folder, {"USER": "bob"}, within=as_nobody, program=program)
    path = other.configure(postgres=tcp_database_url, email="bob@example.org", username="bob")
    os.chown(path, ordinary.uid, ordinary.gid)
    with slurm_started(
        ordinary.home / "slurm", ordinary.home, also=(maestro.folder.parent,)
    ) as slurm:
        hers, his = Pools(maestro, slurm, conn), Pools(other, slurm, conn)
        other.env |= {
            "MAESTRO_STATE_DIR": "/tmp/bob",
            "PYTHONPATH": f"{SOURCE}{os.pathsep}{PACKAGES}",
        }
        try:
            hers.task(4, "id -u > %OUT/uid", name="hers")
            his.task(4, "id -u > %OUT/uid", name="his", user="bob")
            his.create("bobs")
            his.run("bobs")
            his.finished(4)
            his.gone()
            hers.create("anas")
            hers.run("anas")
            hers.finished(8)
            hers.gone()
        finally:
            other.end()
    for each, uid in ((hers, 0), (his, ordinary.uid)):
        written = list(each.maestro.folder.glob("user.*/.attempts/*/1/uid"))
        assert [path.read_text() for path in written] == [f"{uid}\n"] * 4
    by = [name.partition("-")[0] for _, _, name, _, _ in hers.attempts()]
    assert sorted(by) == ["anas"] * 4 + ["bobs"] * 4


def test_an_allocation_of_several_nodes_has_a_pilot_on_each_with_the_gpus_that_it_was_given(
    pools: Pools,
) -> None:
    pools.create(cpus=1, gpus=1, nodes=2, max_pilots=2)
    pools.run()
    pools.task(6, "env > %OUT/env; sleep 1", "--queue", "gpu")
    pools.finished(6)
    pools.gone()
    assert [each.served for each in pools.allocations()] == [True]
    assert {name.rpartition("-")[2] for _, _, name, _, _ in pools.attempts()} == {"n1", "n2"}
    found = [path.read_text() for path in pools.maestro.folder.glob("user.*/.attempts/*/1/env")]
    assert len(found) == 6
    for environment in found:
        assert "\nSLURM_" not in environment
        assert (
            "\nCUDA_VISIBLE_DEVICES=0\n" in environment
            or "\nCUDA_VISIBLE_DEVICES=1\n" in environment
        )
