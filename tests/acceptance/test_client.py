"""`orchestra.Client` against a real database, with jobs that a real pilot runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

import orchestra
from orchestra.client import Task
from orchestra.domain.errors import (
    AlreadyExists,
    BadInput,
    DatabaseUnavailable,
    NotAllowed,
    NotFound,
    OrchestraError,
    Refused,
    TimedOut,
)
from orchestra.domain.models.nodes import Slots
from orchestra.domain.states import JobState, JobStatus, TaskState
from orchestra.interface import waiting
from orchestra.interface.local import Local
from orchestra.store.postgres import embedded
from orchestra.wiring.settings import load_settings
from support.cluster import Cluster
from support.http_server import serving
from support.waiting import wait_until

JOB = (
    'cat %IN && printf \'{"twice": %s, "loss": 0.5}\' $(tr -dc 0-9 < %IN) > %OUT/metrics.json'
    " && test $(tr -dc 0-9 < %IN) != 2"
)


@pytest.fixture
def home(hostile_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's configuration counts; the current folder has a hostile name."""
    monkeypatch.setenv("HOME", str(hostile_dir.parent))
    monkeypatch.chdir(hostile_dir)
    return hostile_dir


@pytest.fixture
def client(
    request: pytest.FixtureRequest, database_url: str, home: Path
) -> Iterator[orchestra.Client]:
    """Ana's client: of the embedded kind of database itself, of the other kind over HTTP."""
    own = {"postgres": database_url, "username": "ana", "email": "a@example.org"}
    with ExitStack() as stack:
        if request.node.callspec.params["database_server"] == "debian15":
            path = stack.enter_context(serving(load_settings(given=own)))
            own = {"server": f"unix:{path}"}
        yield stack.enter_context(orchestra.Client(**own))


@pytest.fixture
def cluster(cluster: Cluster) -> Cluster:
    cluster.node()
    return cluster


@pytest.fixture
def sets(client: orchestra.Client, home: Path) -> orchestra.Client:
    """A client with four configs and a data set."""
    client.datasets.sweep("user.ana.grid", {"grid": {"n": range(4)}}, "configs")
    (home / "data.txt").write_text("data\n")
    client.datasets.create("user.ana.data", "data.txt")
    return client


def make(
    client: orchestra.Client, name: str = "work", command: str = JOB, **options: object
) -> Task:
    given = {"config": "user.ana.grid", "data": "user.ana.data", "bypass": True, **options}
    return client.tasks.create(f"user.ana.{name}", command=f": %DATA %IN %OUT; {command}", **given)  # type: ignore[arg-type]


def backends(conn: psycopg.Connection) -> int:
    """End all other connections to this database, as a restart of PostgreSQL does."""
    ended = conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid() and application_name = 'maestro'"
    ).fetchall()
    return len(ended)


# Data sets


def test_data_sets(sets: orchestra.Client, home: Path) -> None:
    grid = sets.datasets.get("user.ana.grid")
    assert (grid.files, grid.root) == (4, str(home / "configs"))
    names = ["0_n=0.json", "1_n=1.json", "2_n=2.json", "3_n=3.json"]
    assert [file.path for file in sets.datasets.files(grid)] == names
    (home / "configs/4.json").write_text("{}")
    assert sets.datasets.update(grid).version == 2
    assert [each.name for each in sets.datasets.list()] == ["user.ana.data", "user.ana.grid"]
    assert sets.datasets.list(user="ana") == sets.datasets.list(all=True) == sets.datasets.list()
    sets.datasets.remove(grid)
    with pytest.raises(NotFound, match=r'no data set "user.ana.grid"'):
        sets.datasets.get("user.ana.grid")
    with pytest.raises(AlreadyExists):
        sets.datasets.create("user.ana.data", "data.txt")
    with pytest.raises(BadInput, match="there is no file or folder"):
        sets.datasets.create("user.ana.other", "nowhere")
    with pytest.raises(BadInput, match='belongs to user "bob"'):
        sets.datasets.create("user.bob.data", "data.txt")
    with pytest.raises(NotFound, match="bob"):
        sets.datasets.list(user="bob")


# A task, start to end


def test_ones_own_names_may_be_short(sets: orchestra.Client) -> None:
    task = make(sets, config="grid", data="data")
    assert sets.tasks.get("work") == sets.tasks.get(0) == sets.tasks.get("0") == task
    assert sets.datasets.get("grid").name == "user.ana.grid"
    assert sets.datasets.files("grid") == sets.datasets.files("user.ana.grid")
    after = make(sets, name="user.ana.after", config="task:work", after="work")
    assert [each.id for each in after.info.after] == [0]
    with pytest.raises(NotFound, match=r'no data set "user.ana.gird".*Did you mean'):
        sets.datasets.get("gird")
    assert sets.datasets.create("new", "data.txt").name == "user.ana.new"
    some = sets.datasets.create("some", ".", include="*.txt", exclude=["grid"])
    assert (some.files, sets.datasets.update("some").version) == (1, 1)
    assert sets.datasets.update("some", ["data.txt"]).is_folder is False
    plain = sets.tasks.create("plain", config="grid", command="true %IN %OUT")
    assert (plain.name, plain.info.name) == ("user.ana.plain", "user.ana.plain")
    with pytest.raises(BadInput, match="form user") as caught:
        sets.datasets.create("ana.new", "data.txt")
    assert caught.value.hint
    assert caught.value.hint.startswith("For example user.ana.new")


def test_from_configs_to_results(
    sets: orchestra.Client, cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    task = make(sets)
    assert (task.id, task.state, task.counts.total) == (0, TaskState.REGISTERED, 4)
    cluster.pilot()
    assert task.wait(timeout=60) is task
    assert task.last_seen.state is TaskState.FINALIZED
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1].endswith("3 of 4 jobs done, 1 failed")

    assert [job.number for job in task.jobs()] == [0, 1, 2, 3]
    assert [job.number for job in task.jobs(first=1, limit=2)] == [1, 2]
    (failed,) = task.jobs(state="failed")
    assert sets.tasks.jobs("failed", node="gauss", since="1d") == [failed]
    assert sets.tasks.jobs(config="nothing.*") == []
    assert failed.logs(failed=True) == failed.logs()
    assert (failed.address, failed.state, failed.info.exit_status) == ("0/2", JobStatus.FAILED, 1)
    assert json.loads(failed.logs()) == {"n": 2}
    one, other = (
        each.headline.partition(" failed ")[0] for each in (failed.explain(), task.explain(2))
    )
    assert one == other == "Job 2 of task 0 (user.ana.work)"
    assert "exit status 1" in failed.explain().headline
    assert failed.show().attempts[0].node == "gauss"
    assert task.show().failures[0].jobs == 1
    assert json.loads((task.job(3).folder / "metrics.json").read_text())["twice"] == 3

    rows = task.results(sort="-n", columns=["n", "twice"])
    assert rows == [{"n": n, "twice": n} for n in (3, 1, 0)]
    assert task.results(best=1)[0]["job"] == 0
    page = task.report(tmp_path / "r.html")
    assert page == (tmp_path / "r.html").read_text()
    assert "The jobs with the lowest loss" in page
    frame = task.frame()
    assert list(frame.loc[:, "twice"]) == [0, 1, 3]
    assert {"job", "n", "loss", "run.seconds", "note"} <= set(frame.columns)
    with pytest.raises(BadInput, match='Did you mean "loss"'):
        task.results(sort="los")

    outputs = make(sets, "later", config=task)
    assert outputs.counts.total == 3
    assert outputs.kill("no need").wait(30, progress=False).state is TaskState.KILLED
    outputs.delete()
    with pytest.raises(NotFound):
        _ = outputs.state
    assert [each.id for each in sets.tasks.list()] == [0]
    assert sets.tasks.get(0) == sets.tasks.get("user.ana.work") == task


def test_a_task_of_the_outputs_of_one_that_is_still_to_come(
    sets: orchestra.Client, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make(sets, command="cp %IN %OUT/metrics.json")
    second = make(sets, "second", "cat %IN/metrics.json", config=first, after=[first])
    third = make(sets, "third", "true", after=second.name)
    assert [each.id for each in third.info.after] == [second.id]
    cluster.pilot()
    third.wait(60, check=True)
    assert "It starts when task 1 (user.ana.second) is DONE" in capsys.readouterr().err
    assert json.loads(second.logs(3)) == {"n": 3}


def test_what_can_be_done_to_a_task_and_its_jobs(
    sets: orchestra.Client, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Path.cwd() / "stop"
    task = make(sets, command="while ! test -e ../../../../stop; do sleep 0.05; done; echo é")
    assert task.hold("first things first").info.hold is not None
    cluster.pilot()
    with pytest.raises(TimedOut, match="is REGISTERED; it has not ended within 1"):
        task.wait(1, progress=False)
    task.release()
    with monkeypatch.context() as patched:
        patched.setattr(waiting, "wait_for_pilots", lambda *_: {task.id: ["gauss"]})
        with pytest.warns(UserWarning, match=f"^gauss did not answer, and may still .* {task.id}"):
            task.hold()
    task.release()
    wait_until(lambda: task.counts.running == 2)
    first = task.jobs(state="running")[0]
    first.kill("too long")
    wait_until(lambda: task.job(first.number).info.state is JobState.KILLED)
    assert make(sets, command="x", if_not_exists=True) == task
    with pytest.raises(AlreadyExists):
        make(sets)
    stop.touch()
    assert task.wait(60, progress=False).last_seen.state is TaskState.FINALIZED
    assert task.logs(3) == task.logs(3, lines=1) == "é\n"
    task.job(first.number).retry()
    assert task.wait(60, progress=False, check=True).counts.done == 4
    assert task.retry(all=True, bypass=True).wait(60, progress=False).show().task.run == 3
    Path("extra.json").write_text("{}")
    assert [job.number for job in task.add("extra.json")] == [4]
    assert task.wait(60, progress=False, check=True).counts.done == 5
    Path("data.txt").write_text("other data\n")
    assert task.retry(update=True).info.revision == 3
    assert task.state is TaskState.DONE  # nothing is left to run
    copy = sets.tasks.clone(task, retries=2, env={"A": 1})
    assert (copy.name, copy.info.policy.retries, copy.info.command) == (
        "user.ana.work-2",
        2,
        task.info.command,
    )
    copy.delete(force=True)
    stop.unlink()
    task.retry(bypass=True)
    with pytest.raises(Refused, match=r"is (RUNNING|REGISTERED)"):
        task.delete()
    task.delete(force=True)
    assert sets.tasks.list(all=True) == []


def test_mistakes_are_sentences_and_leave_nothing(sets: orchestra.Client) -> None:
    for options, sentence in (
        ({"config": "user.ana.gird"}, 'Did you mean "user.ana.grid"'),
        ({"data": Path("data.txt")}, "a data set, or its name, is needed, not"),
        ({"retries": -1}, "retries needs a whole number"),
        ({"queue": "gpus"}, 'queue must be "cpu" or "gpu"'),
        ({"volume": "data.txt"}, "data.txt"),
        ({"bind": "/a:/b"}, "there is no image"),
        ({"env": {"ORCHESTRA_JOB": 1}}, "is set by Orchestra"),
        ({"secondary": {"%REF": "user.ana.ref"}}, "user.ana.ref"),
    ):
        with pytest.raises(OrchestraError) as caught:
            make(sets, **options)
        assert sentence in str(caught.value) + (caught.value.hint or "")
    task = make(sets, timeout="90s", memory="1GB", priority=3, max_fails=2, env={"A": 1})
    info = task.info
    assert (info.policy.timeout, info.resources.memory_bytes) == (90, 10**9)
    assert (info.policy.priority, dict(info.env)) == (3, {"A": "1"})
    for call, sentence in (
        (lambda: sets.tasks.get(7), "there is no task 7"),
        (lambda: sets.tasks.get("user.ana.wrok"), 'Did you mean "user.ana.work"'),
        (lambda: task.job(4), "has no job 4"),
        (lambda: task.job(-1), "needs a whole number of at least 0"),
        (lambda: task.logs(0), "has not run yet"),
        (lambda: task.jobs(state="lost"), "there is no job state 'lost'"),
        (lambda: task.results(best=0), "best needs a whole number"),
        (lambda: task.delete(), "REGISTERED"),
    ):
        with pytest.raises(OrchestraError, match=sentence):
            call()
    attempts: tuple[tuple[Callable[[], object], str], ...] = (
        (lambda: task.delete(), "force=True"),
        (lambda: sets.tasks.get(7), "client.tasks.list(all=True) shows all"),
        (lambda: make(sets), "if_not_exists=True"),
        (lambda: sets.datasets.get("zzz"), "client.datasets.list(all=True) shows all"),
    )
    for attempt, hint in attempts:
        with pytest.raises(OrchestraError) as caught:
            attempt()
        assert hint in (caught.value.hint or "")
        assert hint in "".join(traceback.format_exception(caught.value))
    assert len(sets.tasks.list(all=True)) == 1


# Nodes, users, mails


def test_nodes_and_users(client: orchestra.Client) -> None:
    node = client.nodes.create("euler", cpus=4, max_cpus=8, gpus=1)
    assert (node.cpu, node.gpu, node.owner) == (Slots(4, 8), Slots(1, 1), "ana")
    assert client.nodes.set(node, cpus=2).cpu == Slots(2, 8)
    assert client.nodes.set(node, labels={"rack": 3, "ssd": "yes"}).labels["rack"] == "3"
    assert client.nodes.set(node, labels={"rack": ""}).labels == {"ssd": "yes"}
    node = client.nodes.set(node, memory="64GB", open_hours="Sat,19-7", nice=5)
    assert (node.memory_bytes, node.open_hours, node.nice) == (64 * 10**9, "sat,19:00-07:00", 5)
    node = client.nodes.set(node, memory="all", open_hours="always", nice=0)
    assert (node.memory_bytes, node.open_hours, node.nice) == (None, None, 0)
    later = datetime.now(UTC) + timedelta(days=1)
    assert client.nodes.drain("euler", at=later).drain_at == later
    assert client.nodes.drain("euler", "new disk").drain_reason == "new disk"
    assert [client.nodes.resume(node), client.nodes.resume(node)] == [True, False]
    assert (client.nodes.stop(node), client.nodes.lost(node)) == (False, 0)
    bob = client.users.create("bob", "bob@example.org")
    assert client.nodes.set(node, owner=bob).owner == "bob"
    assert client.users.set(bob, email="b@example.org", mail=False).mail is False
    assert client.users.set(email="ana@example.org") == client.user == client.users.get("ana")
    assert [user.name for user in client.users.list()] == ["ana", "bob"]
    with pytest.raises(Refused, match="only admin"):
        client.users.set(admin=False)
    client.nodes.delete(node)
    client.users.delete(bob)
    assert client.nodes.list() == []
    calls: tuple[tuple[Callable[[], object], str, str], ...] = (
        (lambda: client.nodes.get("eule"), 'no node "eule"', "client.nodes.create"),
        (lambda: client.nodes.set("euler"), "nothing to change was given", ""),
        (lambda: client.nodes.create("x", cpus=-1), "cpus needs a whole number", ""),
        (lambda: client.nodes.create("x", cpus=2, max_cpus=1), "cannot be enabled", ""),
        (lambda: client.nodes.set("euler", open_hours="nights"), "neither days nor", ""),
        (lambda: client.nodes.set("euler", memory="much"), "is not a size", ""),
        (lambda: client.nodes.drain("euler", at="Friday"), "is not a day with a time", ""),
        (lambda: client.nodes.drain(3), "a node, or its name, is needed, not 3", ""),  # type: ignore[arg-type]
        (lambda: client.users.set(), "nothing to change was given", ""),
        (lambda: client.users.get("bob"), 'no user "bob"', "client.users.create"),
        (lambda: client.mails.list(state="lost"), "state must be", ""),  # type: ignore[arg-type]
        (lambda: client.mails.show(3), "no mail 3", "client.mails.list()"),
        (lambda: client.queue("tpu"), 'queue must be "cpu" or "gpu"', ""),
    )
    for call, sentence, hint in calls:
        with pytest.raises(OrchestraError, match=sentence) as caught:
            call()
        assert hint in (caught.value.hint or "")


def test_what_belongs_to_others_is_refused(client: orchestra.Client, database_url: str) -> None:
    node = client.nodes.create("euler", cpus=1)
    client.users.create("bob", "bob@example.org")
    with orchestra.Client(postgres=database_url, username="bob") as bob:
        for call in (
            lambda: bob.nodes.drain(node),
            lambda: bob.nodes.delete(node),
            lambda: bob.users.set("ana", mail=False),
            lambda: bob.mails.retry(all=True),
        ):
            with pytest.raises(NotAllowed):
                call()
    assert client.nodes.get(node) == node


def test_mail_queue_and_the_folders_of_attempts(sets: orchestra.Client, cluster: Cluster) -> None:
    task = make(sets, command="false", retries=0)
    assert [job.task for job in sets.queue("cpu").waiting] == []
    cluster.pilot()
    assert task.wait(60, progress=False).last_seen.state is TaskState.FINALIZED
    (mail,) = wait_until(sets.mails.list)
    content = sets.mails.show(mail)
    assert content.subject.startswith("user.ana.work")
    assert "exit status 1" in content.text
    assert sets.mails.retry() == []  # nothing was set aside
    assert task.retry(bypass=True).wait(60, progress=False).counts.failed == 4
    attempts = task.folder / ".attempts"
    (task.folder / "mine.txt").touch()
    assert len(list(attempts.glob("*/*"))) == 8
    assert (task.clean().folders, task.clean().folders) == (4, 0)
    assert len(list(attempts.glob("*/*"))) == 4
    task.delete(remove=True)
    assert [path.name for path in task.folder.iterdir()] == ["mine.txt"]
    assert sets.tasks.list(all=True) == []


# The connection


def test_a_connection_that_was_lost_is_made_anew(
    sets: orchestra.Client, conn: psycopg.Connection
) -> None:
    task = make(sets)
    assert backends(conn) == 1
    assert task.state is TaskState.REGISTERED
    assert backends(conn) == 1
    assert sets.user.name == "ana"
    with sets._session.interface() as own:  # as a call leaves it that was interrupted
        assert isinstance(own, Local)
        own.conn.execute("begin")
        own.conn.execute("create table halfway ()")
    assert task.state is TaskState.REGISTERED
    assert conn.execute("select to_regclass('halfway')").fetchone() == (None,)


def test_who_waits_is_told_why_nothing_runs(
    sets: orchestra.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TimedOut):
        make(sets).wait(0.5)
    _, why = capsys.readouterr().err.splitlines()
    assert "maestro" in why


def test_waiting_survives_lost_connections(
    sets: orchestra.Client, conn: psycopg.Connection, cluster: Cluster
) -> None:
    task = make(sets, command="while ! test -e ../../../../stop; do sleep 0.05; done")
    cluster.pilot()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(task.wait, 60, progress=False)
        wait_until(lambda: task.counts.running == 2)
        for _ in range(3):
            backends(conn)
            assert task.state is TaskState.RUNNING  # other calls go on beside
        (Path.cwd() / "stop").touch()
        assert waiting.result(60).last_seen.state is TaskState.DONE


def test_threads_share_a_client(sets: orchestra.Client) -> None:
    task = make(sets)
    barrier = threading.Barrier(8)

    def look(number: int) -> int:
        barrier.wait(20)
        return [task.counts.total, len(task.jobs()), len(sets.tasks.list())][number % 3]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, range(8))) == [4, 4, 1, 4, 4, 1, 4, 4]


OTHER_PROCESSES = """
import concurrent.futures, copy, multiprocessing, os, pickle, threading
import orchestra

def look(job):
    assert isinstance(job.task._session.settings.postgres, str)
    return job.task.counts.total, job.show().job.index, len(orchestra.client.session._handed_over)

def work(client):
    os._exit(len(client.tasks.list()))

def hold(client, holding):
    with client._session.interface():
        holding.set()
        threading.Event().wait()

if __name__ == "__main__":
    client = orchestra.Client()
    task = client.tasks.get("work")
    jobs = task.jobs()
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
        print("spawn", *pool.map(look, jobs))
    for how in ("forkserver", "fork"):
        with multiprocessing.get_context(how).Pool(1) as pool:
            print(how, *pool.map(look, jobs, chunksize=1))

    for given in (client, task, jobs[0], task.show(), jobs[0].show(), jobs[0].explain(), task.counts,
                  client.datasets.get("grid"), client.user):
        pickled = pickle.dumps(given)
        assert client._session.settings.password.encode() not in pickled
        assert b"test-password" not in pickled, given
        assert repr(pickle.loads(pickled)) == repr(copy.deepcopy(given)) == repr(given)
    assert pickle.loads(pickle.dumps(task)) == copy.deepcopy(task) == task

    holding = threading.Event()
    threading.Thread(target=hold, args=(client, holding), daemon=True).start()
    holding.wait()
    child = multiprocessing.get_context("fork").Process(target=work, args=(client,))
    child.start()
    child.join(60)
    print("forked", child.exitcode)
"""


def test_other_processes_make_a_connection_of_their_own(
    sets: orchestra.Client, tcp_database_url: str, home: Path
) -> None:
    make(sets)
    script = home.parent / "processes.py"
    script.write_text(
        OTHER_PROCESSES.replace("test-password", tcp_database_url.split(":")[2].split("@")[0])
    )
    own = {
        "MAESTRO_POSTGRES": tcp_database_url,
        "MAESTRO_USERNAME": "ana",
        "MAESTRO_PASSWORD": "of the mail",
    }
    done = subprocess.run(
        [sys.executable, script],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    same = " ".join(f"(4, {n}, 1)" for n in range(4))
    assert done.stdout.splitlines() == [
        f"spawn {same}",
        f"forkserver {same}",
        f"fork {same.replace('1)', '0)')}",  # the parent's client, with a connection of the child's
        "forked 1",
    ]


def test_the_embedded_database_is_started_and_found_again(home: Path, tmp_path: Path) -> None:
    data = tmp_path / "database"
    try:
        with orchestra.Client(data_dir=data, username="ana") as client:
            assert client.user.name == "ana"
            (home / "data.txt").write_text("data\n")
            client.datasets.create("user.ana.data", "data.txt")
            client.datasets.sweep("user.ana.grid", {"grid": {"n": range(4)}}, "configs")
            task = make(client)
            embedded.stop(data)
            with pytest.raises(DatabaseUnavailable):  # who waits does not start what was stopped
                task._look_on()
            assert task.state is TaskState.REGISTERED
    finally:
        embedded.stop(data, mode="immediate")


def test_a_database_that_is_not_there_is_a_sentence(home: Path) -> None:
    with (
        orchestra.Client(postgres="postgresql://ana:secret@127.0.0.1:9/x") as client,
        pytest.raises(DatabaseUnavailable, match=r"127.0.0.1:9 cannot be reached") as caught,
    ):
        client.tasks.list()
    assert "secret" not in str(caught.value) + str(caught.value.hint)
    shown = "".join(traceback.format_exception_only(caught.value))
    assert caught.value.hint
    assert caught.value.hint in shown  # a notebook shows the traceback alone
