"""Leases, conductors and replaced databases with real processes. Jobs write down their own truth, beat by beat."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.models.nodes import SlotsWanted
from orchestra.domain.states import JobState, TaskState
from orchestra.services.database import recovery
from orchestra.services.nodes import nodes
from orchestra.services.tasks import standstill
from support import backup
from support.cluster import Cluster
from support.maestro import Maestro
from support.people import as_admin
from support.proxy import cable
from support.waiting import wait_until

both_servers = pytest.mark.servers("embedded", "debian15")

DONE, RUNNING = JobState.DONE, JobState.RUNNING
NEEDS = ": %DATA %IN %OUT; "


@pytest.fixture
def cluster(conn: psycopg.Connection, tcp_database_url: str, tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(conn, tcp_database_url, tmp_path)
    yield found
    found.end()


def beating(gate: Path, trace: Path) -> str:
    """A command that says every 50 ms which attempt is alive, until there is a gate."""
    beat = f'echo "$ORCHESTRA_ATTEMPT $(date +%%s.%%N)" >> {shlex.quote(str(trace))}.$ORCHESTRA_JOB'
    return NEEDS + f"until [ -e {shlex.quote(str(gate))} ]; do {beat}; sleep 0.05; done; {beat}"


def beats(trace: Path, job: int) -> dict[int, list[float]]:
    """When each attempt of a job was alive."""
    found: dict[int, list[float]] = {}
    path = trace.with_name(f"{trace.name}.{job}")
    for line in path.read_text().splitlines() if path.exists() else []:
        number, moment = line.split()
        found.setdefault(int(number), []).append(float(moment))
    return found


def test_a_node_that_is_cut_off_ends_its_job_before_another_gets_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    task = cluster.task(1, beating(gate, trace), grace=0.5)
    cluster.pilot("euler", "--master", "--margin=1")
    with cable(cluster.url) as gauss:
        cluster.pilot("gauss", "--lease=3", url=gauss.url(cluster.url))
        wait_until(lambda: beats(trace, 0).get(1), 20, lambda: cluster.log("gauss"))
        # Renewed lease after lease, it is left alone.
        until = time.monotonic() + 5
        wait_until(lambda: time.monotonic() > until, 10)
        assert cluster.jobs(task) == [RUNNING]
        nodes.change(
            cluster.conn, as_admin(cluster.conn), "euler", SlotsWanted("CPU", 1), SlotsWanted("GPU")
        )
        gauss.unplug()
        wait_until(lambda: beats(trace, 0).get(2), 30, lambda: cluster.log("euler"))
        lives = beats(trace, 0)
        assert max(lives[1]) < min(lives[2])
        row = cluster.conn.execute(
            "select k.fence_reason, extract(epoch from a.lost_at - k.renewed_at)::float8 "
            "from attempt a join keeper k on k.id = a.keeper_id where a.number = 1"
        ).fetchone()
        assert row
        assert row[0].startswith("its node was not heard from for ")
        assert row[1] >= 3 + 0.5 + 1
        gauss.plug()

        def reported() -> bool:
            (first, *_) = cluster.attempts(task)
            return bool(first[2] == "lease")

        wait_until(reported, 30, lambda: cluster.log("gauss"))
    gate.touch()
    cluster.wait_for(task, TaskState.DONE)
    assert [(a[1], a[2]) for a in cluster.attempts(task)] == [(1, "lease"), (2, "exit")]
    accepted = cluster.conn.execute("select accepted from attempt order by number").fetchall()
    assert accepted == [(False,), (True,)]


def test_a_pilot_that_is_stopped_while_it_conducts_is_replaced_and_harms_nothing(
    cluster: Cluster,
) -> None:
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=1)
    first = cluster.pilot("gauss", "--master")
    wait_until(lambda: _holder(cluster.conn) == "gauss", 20)
    cluster.pilot("euler", "--master")
    wait_until(lambda: nodes.get(cluster.conn, "euler").online, 20)
    first.send_signal(signal.SIGSTOP)
    since = time.monotonic()
    task = cluster.task(3, NEEDS + "true")
    cluster.wait_for(task, TaskState.DONE, timeout=20)
    assert time.monotonic() - since < 15
    assert _holder(cluster.conn) == "euler"
    before = cluster.conn.execute("select term from leader").fetchone()
    first.send_signal(signal.SIGCONT)
    second = cluster.task(
        3, NEEDS + "true", name="second", config="user.ana.work-configs", data="user.ana.data"
    )
    cluster.wait_for(second, TaskState.DONE)
    assert first.poll() is None
    assert cluster.conn.execute("select term from leader").fetchone() == before
    for both in (task, second):
        assert [a[2] for a in cluster.attempts(both) if a[2] != "returned"] == ["exit"] * 3


def _holder(conn: psycopg.Connection) -> str | None:
    row = conn.execute("select holder_name from leader where expires > now()").fetchone()
    return str(row[0]) if row else None


@pytest.mark.parametrize("harm", [signal.SIGKILL, signal.SIGSTOP])
def test_another_conductor_acts_within_five_seconds(
    maestro: Maestro, conn: psycopg.Connection, harm: signal.Signals
) -> None:
    def term() -> int | None:
        row = conn.execute("select term from leader where expires > now()").fetchone()
        return int(row[0]) if row else None

    first = maestro.start("conductor", "run")
    assert wait_until(term, 20) == 1
    maestro.start("conductor", "run")
    clients = (
        "select count(*) from pg_stat_activity where application_name like 'maestro conductor on%'"
    )
    wait_until(lambda: conn.execute(clients).fetchone() == (2,), 20)
    first.send_signal(harm)
    since = time.monotonic()
    wait_until(lambda: term() == 2, 20)
    assert time.monotonic() - since < 6
    preferred = maestro.start("conductor", "run", "-m")
    wait_until(lambda: term() == 3, 20)
    first.send_signal(signal.SIGCONT)
    preferred.send_signal(signal.SIGTERM)
    assert preferred.wait(20) == 0
    wait_until(lambda: (term() or 0) >= 4, 20)


def test_a_conductor_that_is_cut_off_is_replaced_and_comes_back_as_a_follower(
    maestro: Maestro, conn: psycopg.Connection, tcp_database_url: str
) -> None:
    def term() -> tuple[int, bool] | None:
        row = conn.execute("select term, expires > now() from leader").fetchone()
        return (row[0], row[1]) if row else None

    with cable(tcp_database_url) as wire:
        maestro.env["MAESTRO_POSTGRES"] = wire.url(tcp_database_url)
        first = maestro.start("conductor", "run")
        wait_until(lambda: term() == (1, True), 20)
        del maestro.env["MAESTRO_POSTGRES"]
        maestro.start("conductor", "run")
        clients = "select count(*) from pg_stat_activity where application_name like 'maestro conductor on%'"
        wait_until(lambda: conn.execute(clients).fetchone() == (2,), 20)
        wire.unplug()
        wait_until(lambda: term() == (2, True), 10)
        wire.plug()
        wait_until(lambda: conn.execute(clients).fetchone() == (2,), 20)
        assert first.poll() is None
        assert term() == (2, True)


@both_servers
def test_a_database_restored_under_running_jobs_loses_kills_and_repeats_none_of_them(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The dump is from before they began: it has never heard of them, nor of the keeper that runs them."""
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    cluster.node("gauss", cpu=2)
    task = cluster.task(4, beating(gate, trace))
    backup.take(cluster.conn)
    cluster.pilot("gauss", "--master", "--patience=2")
    wait_until(lambda: cluster.jobs(task).count(RUNNING) == 2, 20, cluster.log)
    running = [job for job, state in enumerate(cluster.jobs(task)) if state is RUNNING]
    wait_until(lambda: all(beats(trace, job) for job in running), 20)
    backup.put_back(cluster.conn)
    wait_until(
        lambda: [cluster.jobs(task)[job] for job in running] == [RUNNING] * 2, 40, cluster.log
    )
    wait_until(lambda: standstill.state(cluster.conn) is None, 20, cluster.log)
    gate.touch()
    cluster.wait_for(task, TaskState.DONE, timeout=40)
    assert len(running) == 2
    for job in range(4):
        assert set(beats(trace, job)) == {1}, "each ran once"
    assert all(attempt[1:4] == (1, "exit", 0) for attempt in cluster.attempts(task))
    epoch = cluster.conn.execute("select epoch from cluster").fetchone()
    assert epoch == (2,)


@pytest.mark.parametrize(
    ("there", "back", "says"),
    [
        ("alter schema orchestra rename to away", "alter schema away rename to orchestra", "no Orchestra schema yet"),
        ("update cluster set id = gen_random_uuid()", "update cluster set id = %s", "another cluster"),
    ],
    ids=["empty", "foreign"],
)  # fmt: skip
@both_servers
def test_an_empty_or_foreign_database_in_its_place_ends_and_loses_nothing(
    cluster: Cluster, tmp_path: Path, there: str, back: str, says: str
) -> None:
    gate, trace = tmp_path / "gate", tmp_path / "trace"
    cluster.node("gauss", cpu=1)
    task = cluster.task(1, beating(gate, trace))
    cluster.pilot("gauss", "--master")
    wait_until(lambda: beats(trace, 0), 20, cluster.log)
    row = cluster.conn.execute("select id from cluster").fetchone()
    assert row
    cluster.conn.execute(there)
    _hang_up(cluster.conn)
    wait_until(lambda: says in cluster.log(), 30, cluster.log)
    gate.touch()  # it ends while its database is not there
    wait_until(lambda: len(set(beats(trace, 0)[1])) > 1, 20)
    cluster.conn.execute(back, [row[0]] if "%s" in back else None)
    _hang_up(cluster.conn)
    cluster.wait_for(task, TaskState.DONE, timeout=40)
    assert [attempt[1:4] for attempt in cluster.attempts(task)] == [(1, "exit", 0)]


def _hang_up(conn: psycopg.Connection) -> None:
    conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where application_name like 'pilot%' and datname = current_database()"
    )


def test_a_node_that_burnt_down(maestro: Maestro, conn: psycopg.Connection, tmp_path: Path) -> None:
    cluster = Cluster(conn, "", tmp_path)
    cluster.node("gauss", cpu=1)
    assert "no node" in maestro.refused("node", "lost", "-n", "gaus", "--yes")
    said = maestro.line("node lost -n gauss --yes --reason 'it burnt'")
    assert said.out == "node gauss is lost; 0 jobs requeued\n"
    assert (
        maestro.line("db accept").out
        == "the database is not recovering; there is nothing to accept\n"
    )
    recovery.begin(conn, "it was restored from a dump", who="ana")
    assert "recovering" in maestro.line("db status").out
    assert "The database is recovering" in maestro.line("node list").err
    assert maestro.line("db accept").out == "the database is accepted; work continues\n"
