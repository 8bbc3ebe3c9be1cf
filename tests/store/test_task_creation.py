"""Creating tasks: everything is checked first, and written in one transaction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import (
    AlreadyExists,
    BadInput,
    NotFound,
    OrchestraError,
    Refused,
    VolumeError,
)
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.tasks import Counts, Limit, Policy, Resources, Task
from orchestra.domain.states import Queue, TaskState
from orchestra.services import datasets, names
from orchestra.services.tasks import cloning
from orchestra.services.tasks import creation as task_creation
from orchestra.store import datasets as dataset_store
from orchestra.store.tasks import creation as task_making
from orchestra.store.tasks import facts, sources
from orchestra.store.tasks import tasks as store
from support.making import make
from support.people import caller
from support.registering import register
from support.world import World

COMMAND = "train -d %DATA -c %IN -o %OUT"


@pytest.fixture
def new(conn: psycopg.Connection, ana: Caller, hostile_dir: Path) -> NewTask:
    """A task of twelve configs and one data file, all in a folder with a hostile name."""
    configs, volume = hostile_dir / "grid", hostile_dir / "volume"
    configs.mkdir()
    volume.mkdir()
    for number in range(12):
        (configs / f"it's job.{number} $(x)").write_text("{}")
    (hostile_dir / "digits.npz").write_text("data")
    register(conn, ana, "user.ana.grid", configs)
    register(conn, ana, "user.ana.digits", hostile_dir / "digits.npz")
    return NewTask(
        "user.ana.mlp", COMMAND, "user.ana.grid", "user.ana.digits", str(volume), "ana", "gauss"
    )


def create(conn: psycopg.Connection, new: NewTask, ana: Caller) -> Task:
    return make(conn, ana, new)


def rows(conn: psycopg.Connection) -> dict[str, int]:
    tables = ("task", "job", "task_count", "event", "task_input")
    counts = {}
    for table in tables:
        row = conn.execute(f"select count(*) from {table}").fetchone()
        assert row
        counts[table] = row[0]
    return counts


def test_a_task_with_its_jobs_its_counts_and_its_event(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    policy = Policy(3, 60.0, 2, 600.0, 5.0, -4, Limit(percent=5.0), True)
    resources = Resources(2, 0, 10**9)
    wanted = replace(
        new,
        policy=policy,
        resources=resources,
        env={"A": "it's $(x)"},
        image="ana/image",
        complete_file=".complete",
    )
    task = create(conn, wanted, ana)
    assert task == store.by_name(conn, "user.ana.mlp")
    assert (task.id, task.state, task.jobs) == (0, TaskState.REGISTERED, 12)
    assert (task.policy, task.resources, task.env) == (policy, resources, {"A": "it's $(x)"})
    assert (task.image, task.complete_file, task.account) == ("ana/image", ".complete", "ana")
    assert task.folder == f"{new.volume}/user.ana.mlp"
    assert task.counts == Counts(registered=12) == World(conn).true_counts(0)
    assert rows(conn) == {"task": 1, "job": 12, "task_count": 1, "event": 1, "task_input": 1}
    (event,) = facts.events(conn, 0, limit=5)
    assert (event.from_state, event.to_state, event.who, event.why, event.jobs) == (
        None, "REGISTERED", "ana", "from gauss", 12,
    )  # fmt: skip


def test_the_conductor_is_woken(
    conn: psycopg.Connection, ana: Caller, new: NewTask, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("listen orchestra_conductor")
        create(conn, new, ana)
        assert [n.channel for n in listener.notifies(timeout=10, stop_after=1)] == [
            "orchestra_conductor"
        ]


def test_the_preview_is_what_would_run(conn: psycopg.Connection, ana: Caller, new: NewTask) -> None:
    planned = task_creation.plan(conn, ana, new)
    first, _second = task_creation.preview(conn, planned, 2).commands
    words = _split(first)
    root = Path(new.volume).parent
    assert words == [
        "train", "-d", f"{root}/digits.npz", "-c", f"{root}/grid/it's job.0 $(x)", "-o",
        f"{new.volume}/user.ana.mlp/.attempts/job_configId_0/1",
    ]  # fmt: skip
    assert rows(conn)["task"] == 0
    assert list(Path(new.volume).iterdir()) == []


def _split(command: str) -> list[str]:
    import shlex

    return shlex.split(command)


def test_several_files_behind_a_tag_are_their_folder(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    wanted = replace(
        new, command=COMMAND + " %REF", data="user.ana.grid", secondary={"%REF": "user.ana.digits"}
    )
    planned = task_creation.plan(conn, ana, wanted)
    root = Path(new.volume).parent
    found = {source.tag: source for source in task_creation.preview(conn, planned, 1).sources}
    assert (found["DATA"].path, found["DATA"].files) == (f"{root}/grid", 12)
    assert (found["REF"].path, found["REF"].files) == (f"{root}/digits.npz", 1)
    task = task_creation.create(conn, planned)
    assert {source.tag: source for source in sources.inputs(conn, task.id)} == found


def test_a_gpu_job_takes_a_gpu(conn: psycopg.Connection, ana: Caller, new: NewTask) -> None:
    assert create(conn, replace(new, queue=Queue.GPU), ana).resources.gpus == 1
    more = replace(new, name="user.ana.more", queue=Queue.GPU, resources=Resources(4, 2))
    assert create(conn, more, ana).resources == Resources(4, 2)
    half = Resources(cpus_gpu_job=2, gpu_milli=500, vram_bytes=10**9)
    shared = replace(new, name="user.ana.half", queue=Queue.GPU, resources=half)
    assert create(conn, shared, ana).resources == replace(half, gpus=1)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"name": "user.bob.mlp"}, BadInput, 'belongs to user "bob"'),
        ({"name": "ana.mlp"}, BadInput, "user.<username>.<name>"),
        ({"data": None}, BadInput, "has %DATA, but no data set"),
        ({"data": None, "command": "train %IN"}, BadInput, "no %OUT"),
        ({"command": "train %DATA %IN"}, BadInput, "no %OUT"),
        ({"command": COMMAND + " %REF"}, BadInput, "%REF"),
        ({"secondary": {"%IN": "user.ana.digits"}}, BadInput, "%IN is reserved"),
        ({"secondary": {"%R1": "user.ana.digits", "R1": "x"}}, BadInput, "twice"),
        ({"config": "user.ana.gird"}, NotFound, 'mean "user.ana.grid"'),
        ({"data": "user.ana.digts"}, NotFound, 'mean "user.ana.digits"'),
        ({"volume": "/nowhere/at/all"}, VolumeError, "does not exist"),
        ({"volume": "relative"}, BadInput, "not an absolute path"),
        ({"resources": Resources(gpus=1)}, BadInput, "no GPU"),
        ({"resources": Resources(gpu_milli=1)}, BadInput, "no GPU"),
        ({"resources": Resources(memory_bytes=-1)}, BadInput, "memory must be at least 1"),
        ({"policy": Policy(walltime=0.0)}, BadInput, "walltime must be greater than zero"),
        ({"placement": Placement("memory")}, BadInput, 'compares "memory" with nothing'),
        ({"placement": Placement(nodes=("a b",))}, BadInput, "cannot be a node name"),
        ({"config": "task:7"}, NotFound, "no task 7"),
    ],
)
def test_a_mistake_changes_nothing(
    conn: psycopg.Connection,
    ana: Caller,
    new: NewTask,
    change: dict[str, object],
    error: type[OrchestraError],
    says: str,
) -> None:
    before = rows(conn)
    with pytest.raises(error, match=says):
        create(conn, replace(new, **change), ana)  # type: ignore[arg-type]
    assert rows(conn) == before


def test_a_volume_that_is_not_writable_is_refused(
    conn: psycopg.Connection, ana: Caller, new: NewTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # /proc refuses files even from root.
    with pytest.raises(VolumeError, match="the volume /proc is not writable"):
        create(conn, replace(new, volume="/proc"), ana)
    assert rows(conn)["task"] == 0


def test_a_task_folder_in_use_needs_reuse_and_attempts_count_on(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    old = Path(new.volume) / new.name / ".attempts" / "job_configId_3" / "4"
    old.mkdir(parents=True)
    with pytest.raises(VolumeError, match="is not empty"):
        create(conn, new, ana)
    create(conn, replace(new, reuse=True), ana)
    assert conn.execute("select distinct attempt from job").fetchall() == [(4,)]
    assert old.exists()


def test_an_empty_task_folder_is_fine(conn: psycopg.Connection, ana: Caller, new: NewTask) -> None:
    (Path(new.volume) / new.name).mkdir()
    create(conn, new, ana)


def test_a_name_is_unique_even_for_concurrent_calls(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    planned = task_creation.plan(conn, ana, new)
    task_creation.create(conn, planned)
    with pytest.raises(AlreadyExists, match="already"):
        task_creation.create(conn, planned)
    assert rows(conn)["job"] == 12
    assert task_creation.find_existing(conn, ana, new.name) is not None


def test_a_data_set_that_is_deleted_meanwhile_stops_it(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    planned = task_creation.plan(conn, ana, new)
    datasets.remove(conn, ana, "user.ana.digits")
    with pytest.raises(Refused, match="has just been deleted"):
        task_creation.create(conn, planned)
    assert rows(conn)["task"] == 0


def test_the_outputs_of_an_older_task_become_configs(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    old = create(conn, replace(new, policy=Policy(test_jobs=0)), ana)
    again = replace(new, name="user.ana.eval", config="task:user.ana.mlp")
    with pytest.raises(Refused, match="not complete yet"):
        create(conn, again, ana)
    World(conn).run_all(failing={0, 5})
    made = create(conn, again, ana)
    assert made.jobs == 10
    entries = dataset_store.files(conn, made.config_version_id)
    assert [e.path for e in entries][:2] == [
        ".attempts/job_configId_1/1",
        ".attempts/job_configId_2/1",
    ]
    assert all((e.size, e.mtime_ns, e.sha256) == (None, None, None) for e in entries)
    assert sources.config(conn, made.id).root == old.folder
    assert [t.name for t in task_making.outputs_users(conn, old.folder)] == ["user.ana.eval"]


def test_a_name_for_one_more_counts_on_from_what_is_taken(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    def free(name: str, *kinds: names.Kind) -> str:
        return names.free(conn, ana, name, kinds or ("task",))

    create(conn, new, ana)
    assert free("user.ana.mlp") == "user.ana.mlp-2"
    assert free("user.ana.grid") == "user.ana.grid"
    assert free("user.ana.grid", "task", "dataset") == "user.ana.grid-2"
    with pytest.raises(BadInput, match='belongs to user "bob"'):
        free("user.bob.mlp")


def test_the_settings_of_a_task_ask_for_one_more_like_it(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    full = replace(
        new,
        secondary={"REF": "user.ana.digits"},
        env={"LR": "0.1"},
        policy=Policy(
            3,
            60.0,
            2,
            3600.0,
            5.0,
            7,
            Limit(percent=10.0),
            resume=True,
            max_running=4,
            walltime=60.0,
        ),
        resources=Resources(2, 0, 10**9, 0, None, None, 10**10, exclusive=True),
        placement=Placement("gpu=a100", ("gpu01", "gpu02"), ("gpu02",)),
        complete_file=".complete",
        metrics_file="m.json",
        goal="min:loss",
        attach_report=True,
    )
    task = create(conn, full, ana)
    found = cloning.settings(conn, ana, str(task.id), None)
    assert found == replace(full, name="user.ana.mlp-2", host="")
    assert cloning.settings(conn, ana, str(task.id), "user.ana.other").name == "user.ana.other"
    assert create(conn, replace(found, host="gauss"), ana).command == task.command


def test_anybodys_task_can_be_cloned_into_ones_own_namespace(
    conn: psycopg.Connection, ana: Caller, new: NewTask
) -> None:
    task = create(conn, new, ana)
    found = cloning.settings(conn, caller(conn, "bob"), task.name, None)
    assert (found.name, found.volume, found.config) == ("user.bob.mlp", "", "user.ana.grid")


def test_a_clone_of_a_task_over_outputs_reads_the_outputs_of_the_same_task(
    conn: psycopg.Connection, ana: Caller, new: NewTask, world: World
) -> None:
    older = create(conn, replace(new, policy=Policy(test_jobs=0)), ana)
    waiting = create(
        conn,
        replace(
            new,
            name="eval",
            command="eval %IN %OUT",
            data=None,
            config=f"task:{older.id}",
            after=(str(older.id),),
        ),
        ana,
    )
    assert waiting.name == "user.ana.eval"
    found = cloning.settings(conn, ana, str(waiting.id), None)
    assert (found.config, found.after) == ("task:user.ana.mlp", (str(older.id),))
    assert (found.data, found.secondary) == (None, {})
    assert create(conn, replace(found, host="gauss"), ana).jobs == older.jobs
