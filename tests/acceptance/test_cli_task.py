"""`maestro task`, as people type it; the states are arranged in the database, without a pilot."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestra.domain.states import Cause
from support import mounts
from support.maestro import PROGRAM, Maestro
from support.terminal import at_terminal
from support.waiting import wait_until
from support.world import World

pytestmark = pytest.mark.both_ways

both_servers = pytest.mark.servers("embedded", "debian15")
"""For tests with the most statements. What commands print does not depend on the server."""

EXEC = "train -d %DATA -c %IN -o %OUT"
CREATE = ["task", "create", "-c", "user.ana.grid", "-d", "user.ana.data"]


@pytest.fixture
def ana(maestro: Maestro) -> Maestro:
    """Ana with 12 configs in a folder of a hostile name, and one data file."""
    folder = maestro.folder / "a'; echo $(x) é"
    folder.mkdir()
    for number in range(12):
        (folder / f"job.{number}.json").write_text("{}")
    (maestro.folder / "data.npz").write_text("data")
    maestro("dataset", "create", "-n", "user.ana.grid", "-p", folder)
    maestro("dataset", "create", "-n", "user.ana.data", "-p", "data.npz")
    return maestro


def made(ana: Maestro, name: str = "mlp", *more: str) -> int:
    said = ana(*CREATE, "-t", f"user.ana.{name}", "--exec", EXEC, "-q", *more)
    return int(said.out)


@both_servers
def test_create_says_what_will_happen(ana: Maestro) -> None:
    said = ana(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC, "--queue", "cpu")
    folder = ana.folder / "user.ana.mlp"
    config = "'" + str(ana.folder / "a'; echo $(x) é" / "job.0.json").replace("'", r"'\''") + "'"
    assert said.out.splitlines() == [
        "task 0: user.ana.mlp, 12 jobs on queue cpu",
        "    first      10 jobs as a test; the other 2 follow if all of them succeed",
        f"    output     {folder}/job_configId_0 ... job_configId_11",
        f"    job 0/0    train -d {ana.folder}/data.npz -c {config} -o {folder}/.attempts/job_configId_0/1",
    ]
    assert "watch it   maestro task show 0 --watch" in said.err
    assert not folder.exists()


def test_a_dry_run_shows_three_commands_and_writes_nothing(ana: Maestro) -> None:
    said = ana(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC, "--dry_run")
    lines = said.out.splitlines()
    assert lines[0] == "user.ana.mlp would have 12 jobs on queue cpu; nothing was created"
    assert len(lines) == 4
    assert "job.2.json" in lines[3]
    assert ana.line("task list -a -o json").json == []
    as_json = ana(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC, "--dry_run", "-o", "json").json
    assert {key: type(value) for key, value in as_json.items()} == {
        "name": str,
        "queue": str,
        "jobs": int,
        "folder": str,
        "commands": list,
    }


def test_if_not_exists_may_be_repeated(ana: Maestro) -> None:
    first = ana(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC, "--if-not-exists", "-o", "json").json
    again = ana(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC, "--if-not-exists", "-o", "json").json
    assert (first["created"], again["created"]) == (True, False)
    assert first["id"] == again["id"]
    assert (
        "exists already"
        in ana(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC, "--if-not-exists").out
    )
    assert 'a task "user.ana.mlp" already exists' in ana.refused(
        *CREATE, "-t", "user.ana.mlp", "--exec", EXEC
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"--exec": "run -d %DATA -c %IN"}, "the command has no %OUT"),
        ({"--exec": EXEC + " %REF"}, "%REF"),
        ({"-t": "user.bob.mlp"}, 'belongs to user "bob"'),
        ({"-t": "ana.mlp"}, "user.<username>.<name>"),
        ({"-c": "user.ana.grud"}, 'Did you mean "user.ana.grid"?'),
        ({"-c": "task:77"}, "there is no task 77"),
        ({"-d": "user.ana.none"}, 'no data set "user.ana.none"'),
        ({"--queue": "gpi"}, 'cannot be "gpi"'),
        ({"-v": "/nowhere"}, "the volume /nowhere does not exist"),
        ({"-v": "data.npz"}, "is not a folder"),
        ({"--sd": "{'%REF': 1}"}, "--sd"),
        ({"--sd": "{'%REF': 'user.ana.none'}"}, "no data set"),
        ({"--sd": "__import__('os').mkdir('hacked')"}, "--sd"),
        ({"--retries": "-1"}, "--retries needs a whole number"),
        ({"--max-fails": "0"}, "at once"),
        ({"--env": "1x=2"}, "environment variable"),
        ({"--timeout": "soon"}, "not a duration"),
        ({"--memory": "lots"}, "not a size"),
        ({"--gpus": "1"}, "the cpu queue get no GPU"),
        ({"--gpus": "1.5"}, "more than one must be whole"),
        ({"--cpus": "2", "--cores": "3"}, "--cpus and --cores are the same on the cpu queue"),
        ({"--constraint": "memory>64"}, "has a size without a unit"),
        ({"--node": "gpu[1-"}, "a bracket without its counterpart"),
        ({"--cores": "0"}, "--cores needs a whole number of at least 1"),
    ],
)
def test_create_refuses_in_one_sentence(ana: Maestro, change: dict[str, str], says: str) -> None:
    given = {"-c": "user.ana.grid", "-d": "user.ana.data", "-t": "user.ana.mlp", "--exec": EXEC}
    words = [word for pair in {**given, **change}.items() for word in pair]
    assert says in ana.refused("task", "create", *words)
    assert ana.line("task list -a -o json").json == []
    assert not (ana.folder / "hacked").exists()


@both_servers
def test_a_clone_has_the_old_settings_and_the_changes(ana: Maestro) -> None:
    made(ana, "mlp", "--timeout", "2h", "--env", "A=1", "--retries", "3", "--test-jobs", "4")
    dry = ana("task", "clone", "mlp", "--dry-run", "--env", "B=2")
    assert dry.out.startswith("user.ana.mlp-2 would have 12 jobs on queue cpu; nothing was created")
    cloned = ana("task", "clone", "0", "--retries", "1", "--env", "B=2", "--bypass")
    assert cloned.out.startswith(
        "task 1: user.ana.mlp-2, 12 jobs on queue cpu\n    first      no test;"
    )
    assert "watch it   maestro task show 1 --watch" in cloned.err
    assert ana("task", "clone", "1", "--name", "user.ana.other", "-q").out == "2\n"
    assert ana("task", "clone", "1", "-q").out == "3\n"
    shown = ana.line("task show 3 -o json").json
    assert shown["name"] == "user.ana.mlp-3"
    assert shown["command"] == EXEC
    policy = shown["policy"]
    assert (policy["timeout_seconds"], policy["retries"], policy["test_jobs"]) == (7200, 1, 0)
    assert shown["env"] == {"A": "1", "B": "2"}
    resources = ("--cpus", "4", "--scratch", "1GB", "--exclusive", "--constraint", "gpu=a100")
    assert ana("task", "clone", "3", *resources, "--node", "gpu[01-02]", "-q").out == "4\n"
    options = ("--queue", "gpu", "--gpus", "0.5", "--cpus", "2", "--constraint", "none", "-q")
    assert ana("task", "clone", "4", *options).out == "5\n"
    assert (
        "4 cores a job, 1 GB of scratch space a job, each job alone on its node, on nodes with gpu=a100, "
        in (ana.line("task show 4").out)
    )
    shared = ana.line("task show 5 -o json").json
    assert shared["resources"] == {
        "cores": 2, "gpus": 1, "memory_bytes": None, "cpus_gpu_job": 2, "gpu_milli": 500, "vram_bytes": None,
        "scratch_bytes": 10**9, "exclusive": True,
    }  # fmt: skip
    assert shared["placement"] == {"constraint": "", "nodes": ["gpu01", "gpu02"], "not_nodes": []}
    assert "there is no task 9" in ana("task", "clone", "9", status=2).err
    assert "argument" not in ana("task", "clone", status=2).err


def test_secondary_data_sets_are_data_in_both_notations(ana: Maestro) -> None:
    command = EXEC + " -r %REF"
    for number, text in enumerate(["{'%REF': 'user.ana.grid'}", '{"REF": "user.ana.data"}']):
        said = ana(*CREATE, "-t", f"user.ana.t{number}", "--exec", command, "--sd", text)
        expected = "data.npz" if number else "é"
        assert expected in said.out.rpartition("-r ")[2]
        assert ("so %REF is its folder" in said.err) == (number == 0)


def test_create_says_which_file_only_the_current_folder_has(ana: Maestro) -> None:
    (ana.folder / "train.py").write_text("print()")
    said = ana(*CREATE, "-t", "user.ana.mlp", "--exec", "python3 train.py -d %DATA -c %IN -o %OUT")
    assert '"train.py" is a file in the current folder' in said.err
    assert "will not find it" in said.err
    assert str(ana.folder / "train.py") in said.err


def test_a_folder_with_something_in_it_needs_reuse(ana: Maestro) -> None:
    folder = ana.folder / "user.ana.mlp"
    attempt = folder / ".attempts" / "job_configId_3" / "4"
    attempt.mkdir(parents=True)
    assert "is not empty" in ana.refused(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC)
    made(ana, "mlp", "--reuse")
    assert attempt.exists()
    assert ana.line("job show 0/3 -o json").json["attempts"] == 4  # the next one is number 5


def test_an_image_waits_for_a_runtime(ana: Maestro, world: World) -> None:
    world.pilot(is_root=True)
    said = ana(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC, "--containerImage", "ana/image")
    assert "container runtime" in said.err
    shown = ana.line("task show 0 -o json").json
    assert shown["image"] == "ana/image"
    assert any("container runtime" in reason for reason in shown["waiting"])


def test_an_image_and_its_binds_are_checked_before_anything_is_written(ana: Maestro) -> None:
    create = (*CREATE, "-t", "user.ana.mlp", "--exec", EXEC)
    assert "neither a path nor USER/NAME" in ana.refused(*create, "--image", "python:3.11")
    assert "does not exist" in ana.refused(*create, "--image", "none.sif")
    (ana.folder / "empty.sif").touch()
    assert f"{ana.folder}/empty.sif is empty" in ana.refused(*create, "--image", "empty.sif")
    assert "absolute path" in ana.refused(*create, "--image", "ana/x", "--bind", "data:/data")
    assert "there is no image" in ana.refused(*create, "--bind", "/data:/data")
    assert ana.line("task list -a -o json").json == []


def test_an_image_of_the_current_folder_is_kept_with_its_path(ana: Maestro) -> None:
    root = ana.folder / "my root"
    (root / "bin").mkdir(parents=True)
    made(ana, "mlp", "--image", "./my root", "--bind", "/tmp:/scratch:ro", "--bind", "/usr")
    shown = ana.line("task show 0 -o json").json
    assert shown["image"] == f"{root}/"
    assert shown["binds"] == ["/tmp:/scratch:ro", "/usr:/usr"]
    assert "/tmp:/scratch:ro" in ana.line("task show 0").out


COUNTS = "registered assigned testing running failed done kill killed broken".split()  # noqa: SIM905

TASK: dict[str, Any] = {
    "id": int,
    "name": str,
    "owner": str,
    "queue": str,
    "state": str,
    "jobs": int,
    "counts": dict,
    "removed": int,
    "held": type(None),
    "after": list,
    "created_at": str,
    "state_at": str,
    "ended_at": type(None),
}
SHOWN = {
    **TASK,
    "attach_report": bool,
    "command": str,
    "image": type(None),
    "binds": list,
    "account": str,
    "volume": str,
    "folder": str,
    "metrics_file": str,
    "goal": type(None),
    "mails": list,
    "complete_file": type(None),
    "env": dict,
    "config": dict,
    "inputs": list,
    "origin": type(None),
    "policy": dict,
    "resources": dict,
    "placement": dict,
    "run": int,
    "revision": int,
    "test_started_at": type(None),
    "work_started_at": type(None),
    "typical_seconds": type(None),
    "cpu_seconds": type(None),
    "cpu_is_exact": bool,
    "ends_in_seconds": type(None),
    "waiting": list,
    "events": list,
    "failures": list,
    "results_in_doubt": int,
    "doubt": type(None),
}


def types(record: dict[str, Any]) -> dict[str, type]:
    return {key: type(value) for key, value in record.items()}


@both_servers
def test_list_and_show_keep_their_json(ana: Maestro) -> None:
    made(ana)
    (listed,) = ana.line("task list -o json").json
    assert types(listed) == {**TASK, "ends_in_seconds": type(None)}
    assert types(listed["counts"]) == dict.fromkeys(COUNTS, int)
    shown = ana.line("task show 0 -o json").json
    assert types(shown) == SHOWN
    assert types(shown["config"]) == {
        "tag": str,
        "dataset": str,
        "version": int,
        "path": str,
        "files": int,
    }
    assert set(shown["events"][0]) == {"at", "kind", "from", "to", "jobs", "who", "why"}


def test_the_list_has_its_columns_and_with_counts_those_of_the_original(ana: Maestro) -> None:
    assert "No tasks" in ana.line("task list").err
    made(ana)
    assert ana.line("task list").out.splitlines() == [
        "ID  TASK          QUEUE  STATE       WAITING  RUNNING  FAILED  DONE  TOTAL  PROGRESS          ENDS",
        " 0  user.ana.mlp  cpu    REGISTERED       12        0       0     0     12  ..........   0 %  -",
    ]
    header, row = ana.line("task list --counts").out.splitlines()
    assert header.split() == [
        "ID", "TASK", "QUEUE", "REGISTERED", "ASSIGNED", "TESTING", "RUNNING", "FAILED", "DONE", "KILL", "KILLED",
        "BROKEN", "STATE", "ENDS",
    ]  # fmt: skip
    assert row.split() == [
        "0", "user.ana.mlp", "cpu", "12", "0", "0", "0", "0", "0", "0", "0", "0", "REGISTERED", "-",
    ]  # fmt: skip


@both_servers
def test_hold_and_release(ana: Maestro) -> None:
    made(ana)
    assert "task 0 (user.ana.mlp) is held" in ana.line("task hold 0 --reason 'new data'").out
    assert "already held by ana: new data" in ana.line("task hold --id 0").out
    assert "held by ana: new data" in ana.line("task show user.ana.mlp").out
    assert ana.line("task list -o json").json[0]["held"]["reason"] == "new data"
    assert "is released" in ana.line("task release -t user.ana.mlp").out
    assert "was not held" in ana.line("task release 0").out


@both_servers
def test_a_grid_with_failures_from_end_to_end(ana: Maestro, world: World) -> None:
    made(ana, "mlp", "--bypass")
    world.run_all(failing=(3, 7))
    shown = ana.line("task show 0")
    assert "FINALIZED   10 done, 2 failed" in shown.out
    assert "2 x exit status 3" in shown.out
    assert "maestro job logs 0/3" in shown.out
    assert "maestro task retry 0" in shown.out
    as_json = ana.line("task show 0 -o json").json
    assert set(as_json["failures"][0]) == {
        "what", "jobs", "example", "config", "node", "reason", "last_line",
    }  # fmt: skip
    waited = ana.line("task wait 0", status=1)
    assert "is FINALIZED: 10 of 12 jobs done" in waited.out
    assert "2 jobs to run again; the task is RUNNING" in ana.line("task retry --id 0").out
    world.run_all()
    assert "is DONE: 12 of 12 jobs done" in ana.line("task wait 0").out
    assert ana.line("task list -o json").json == []
    assert len(ana.line("task list -a -o json").json) == 1


@both_servers
def test_kill_says_how_many_were_alive(ana: Maestro, world: World) -> None:
    made(ana, "mlp", "--bypass")
    pilot = world.pilot(is_root=True)
    world.conduct(2)
    grants = pilot.claim(cpu=3)
    pilot.start(*grants)
    assert "is being killed; 3 running jobs" in ana.line("task kill 0 --reason enough").out
    assert "is already being killed" in ana.line("task kill -t user.ana.mlp").out
    assert "alive" in ana.refused("task", "delete", "0")
    pilot.end(*grants, cause=Cause.ENDED)
    world.conduct(3)
    ana.line("task wait 0", status=4)
    assert "is already KILLED" in ana.line("task kill 0").out


def test_wait_gives_up(ana: Maestro) -> None:
    made(ana)
    said = ana.line("task wait 0 --timeout 0.3s", status=5)
    assert "is REGISTERED: 0 of 12 jobs done" in said.out
    assert "not ended within" in said.err


def test_wait_draws_on_a_terminal_and_ctrl_c_leaves_the_tasks(ana: Maestro, world: World) -> None:
    for name in ("mlp", "cnn"):
        made(ana, name, "--bypass")
    pilot = world.pilot(is_root=True)
    world.conduct(2)
    grants = pilot.claim(cpu=3)
    pilot.start(*grants)
    with at_terminal(ana, "task", "wait", 0) as waiting:
        wait_until(lambda: "] 0 %" in " ".join(waiting.screen.split()), 30, lambda: waiting.screen)
        pilot.end(*grants)
        wait_until(lambda: "3 of 12 jobs done" in waiting.screen, 30, lambda: waiting.screen)
        waiting.interrupt()
        assert waiting.process.wait(30) == 130
        assert "task 0 continues; to see it again: maestro task wait 0" in waiting.screen
    with at_terminal(ana, "task", "wait", 0, 1) as waiting:
        wait_until(lambda: "3 of 12" in waiting.screen, 30, lambda: waiting.screen)
        assert "user.ana.cnn" in waiting.screen
        world.run_all()
        assert waiting.process.wait(30) == 0
        assert waiting.screen.endswith(
            "task 0 (user.ana.mlp) is DONE: 12 of 12 jobs done\r\n"
            "task 1 (user.ana.cnn) is DONE: 12 of 12 jobs done\r\n"
        )


@both_servers
def test_wait_says_broken(ana: Maestro, world: World) -> None:
    made(ana)
    world.run_all(failing=(0,))
    ana.line("task wait 0", status=3)
    shown = ana.line("task show 0").out
    assert "BROKEN" in shown
    assert "1 x exit status 3" in shown


@both_servers
def test_delete_refuses_live_tasks_and_force_kills_first(ana: Maestro) -> None:
    made(ana)
    said = ana.refused("task", "delete", "--id", "0")
    assert said == (
        "error: task 0 (user.ana.mlp) is REGISTERED.\n"
        "       Kill it first, or use --force to do both.\n"
    )
    assert "is deleted" in ana.line("task delete 0 --force").out
    assert ana.line("task list -a -o json").json == []
    made(ana)  # the name is free again


def test_nobody_is_asked_before_a_live_task_is_killed_and_removed(ana: Maestro) -> None:
    made(ana)
    assert "no terminal to ask at" in ana.refused("task", "delete", "0", "--remove", "--force")
    assert ana.line("task show 0 -o json").json["state"] == "REGISTERED"
    ana.line("task delete 0 --remove --force --yes")
    assert ana.line("task list -a -o json").json == []


def test_nothing_to_lose_is_removed_without_a_question(ana: Maestro, world: World) -> None:
    made(ana)
    ana.line("task kill 0")
    world.conduct(3)
    ana.line("task delete 0 --remove --force")
    assert ana.line("task list -a -o json").json == []


def test_ones_own_names_may_be_short(ana: Maestro, world: World) -> None:
    ana("task", "create", "-c", "grid", "-d", "data", "-t", "user.ana.mlp", "--exec", f"{EXEC} %REF", "-q",
        "--bypass", "--sd", "{'%REF': 'data'}")  # fmt: skip
    world.run_all(failing=(1,))
    assert ana.line("task show mlp -q").out == "0\n"
    assert "task 0 (user.ana.mlp) is FINALIZED" in ana.line("task wait -t mlp", status=1).out
    assert ana.line("job show mlp/1 -o json").json["ordinal"] == 1
    assert "failed" in ana.line("job explain mlp/1").out
    assert len(ana.line("job list mlp -o json").json) == 12
    assert ana.line("dataset show grid -q").out == "user.ana.grid\n"
    new = ["-d", "data", "--exec", EXEC, "--dry_run"]
    for words in (
        ["repro", "--old_task", "mlp", "--new_task", "x"],
        ["create", "-c", "task:mlp", "-t", "x"],
        ["create", "-c", "task:0", "-t", "user.ana.x"],
    ):
        assert "user.ana.x would have 11 jobs" in ana("task", *words, *new).out
    ana.env["MAESTRO_USERNAME"] = "bob"
    assert 'Did you mean "user.ana.mlp"?' in ana.refused("task", "show", "mlp")
    new_set = ana("dataset", "create", "-n", "mlp", "-p", "data.npz")
    assert new_set.out.startswith("user.bob.mlp: 1 file")


@both_servers
def test_ranges_and_unknown_ids(ana: Maestro, world: World) -> None:
    for name in ("one", "two", "three"):
        made(ana, name)
    said = ana.line("task kill --id_min 0 --id_max 1")
    assert said.out.count("is killed") == 2
    assert ana.refused("task", "kill", "--id", "17") == (
        "error: there is no task 17.\n       The newest is task 2; maestro task list -a shows all.\n"
    )
    assert 'Did you mean "user.ana.three"?' in ana.refused("task", "show", "user.ana.thre")
    assert "--id_min and --id_max" in ana.refused("task", "kill", "--id_min", "1")
    assert "which task?" in ana.refused("task", "kill")
    world.conduct(3)
    said = ana.line("task hold 0 2", status=2)
    assert "error: task 0 (user.ana.one) cannot be held now" in said.err
    assert "task 2 (user.ana.three) is held" in said.out


def test_somebody_elses_task_stays_as_it_is(ana: Maestro, world: World) -> None:
    made(ana)
    ana.env["MAESTRO_USERNAME"] = "bob"
    for verb in ("kill", "hold", "delete", "retry"):
        assert 'belongs to user "ana"' in ana.refused("task", verb, "0")
    assert ana.line("task list -o json").json == []
    assert len(ana.line("task list -u ana -o json").json) == 1


def test_remove_takes_what_orchestra_made_and_nothing_else(ana: Maestro, world: World) -> None:
    made(ana, "mlp", "--bypass")
    world.run_all()
    folder, elsewhere = ana.folder / "user.ana.mlp", ana.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    for number in range(12):
        attempt = folder / ".attempts" / f"job_configId_{number}" / "1"
        attempt.mkdir(parents=True)
        (attempt / "result").write_text("12345")
        (attempt / "link").symlink_to(elsewhere)
        (folder / f"job_configId_{number}").symlink_to(f".attempts/job_configId_{number}/1")
    (folder / "notes $(x).txt").write_text("mine")
    assert "Use --yes to answer yes" in ana("task", "delete", "0", "--remove", status=2).err
    assert (folder / "job_configId_0" / "result").exists()
    said = ana.line("task delete 0 --remove --yes")
    assert "12 attempts removed" in said.out
    assert "Not made by Orchestra, and left in place: notes $(x).txt" in said.err
    assert [path.name for path in folder.iterdir()] == ["notes $(x).txt"]
    assert (elsewhere / "precious").exists()


@pytest.mark.needs("root")
def test_a_task_whose_folders_cannot_all_go_stays_until_they_have_gone(
    ana: Maestro, world: World
) -> None:
    made(ana, "mlp", "--bypass")
    world.run_all()
    folder = ana.folder / "user.ana.mlp" / ".attempts"
    for number in range(3):
        (folder / f"job_configId_{number}" / "1" / "busy").mkdir(parents=True)
        (folder / f"job_configId_{number}" / "1" / "result").write_text("12345")
    with mounts.small(folder / "job_configId_1" / "1" / "busy", "size=1m"):
        said = ana.line("task delete 0 --remove --yes", status=1)
        assert "2 attempts removed, 15 B freed" in said.out
        assert (
            "task 0 (user.ana.mlp): 0 B in 0 files and 2 folders of 1 attempt could not be"
            in said.err
        )
        assert "it is on another file system, for example" in said.err
        assert "the task is not deleted until then" in said.err
        assert ana.line("task list -a -q").out.split() == ["0"]
    said = ana.line("task delete 0 --remove --yes")
    assert "1 attempt removed" in said.out
    assert ana.line("task list -a -q").out == ""
    assert not folder.parent.exists()


@both_servers
def test_repro_makes_a_job_of_each_output(ana: Maestro, world: World) -> None:
    made(ana, "mlp", "--bypass")
    assert "its outputs are not complete" in ana.refused(
        "task", "repro", "--old_task", "0", "--new_task", "user.ana.eval", "-d", "user.ana.data", "--exec", EXEC
    )  # fmt: skip
    world.run_all(failing=(1,))
    said = ana(
        *("task", "repro", "--old_task", "user.ana.mlp", "--new_task", "user.ana.eval"),
        *("-d", "user.ana.data", "--exec", EXEC, "--queue", "cpu"),
    )
    assert "11 jobs" in said.out
    assert f"-c {ana.folder}/user.ana.mlp/.attempts/job_configId_0/1 " in said.out
    second = ana.line("job show 1/1 -o json").json
    assert second["config_path"] == f"{ana.folder}/user.ana.mlp/.attempts/job_configId_2/1"
    assert "reads the outputs of task 0" in ana.refused("task", "delete", "0", "--remove")
    ana(
        "task", "create", "-c", "task:user.ana.mlp", "-d", "user.ana.data", "-t", "user.ana.t2", "--exec", EXEC
    )  # fmt: skip


@both_servers
def test_a_data_set_in_use_is_not_deleted(ana: Maestro) -> None:
    made(ana)
    for name in ("grid", "data"):
        said = ana.refused("castor", "unregistry", "-d", f"user.ana.{name}")
        assert "task 0 (user.ana.mlp, REGISTERED) still uses" in said
    ana.line("task kill 0")
    ana.line("task delete 0 --force")
    assert "is deleted" in ana.line("castor unregistry -d user.ana.grid").out


@both_servers
def test_the_queue_shows_what_runs_and_what_comes_next(ana: Maestro, world: World) -> None:
    assert "No job runs or waits on queue gpu" in ana.line("task queue -n gpu").err
    made(ana, "mlp", "--bypass")
    pilot = world.pilot(is_root=True)
    world.conduct(2)
    pilot.start(*pilot.claim(cpu=1))
    rows = ana.line("task queue -n cpu -o json").json
    assert [row["state"] for row in rows] == ["running"] + ["waiting"] * 10
    assert (rows[0]["ordinal"], rows[1]["ordinal"], rows[0]["node"]) == (0, 1, "gauss")
    assert types(rows[1]) == {
        "task_id": int,
        "ordinal": int,
        "task": str,
        "owner": str,
        "state": str,
        "is_test": bool,
        "node": type(None),
        "started_at": type(None),
    }
    assert "gauss" in ana.line("task queue -n cpu").out


@both_servers
def test_settings_are_changed_while_a_task_lives(ana: Maestro) -> None:
    made(ana, "mlp", "--bypass")
    said = ana.line("task set 0 --timeout 2h --memory 4GB --priority 3 --max-fails 5%")
    assert said.out == (
        "task 0 (user.ana.mlp): priority 3 (was 0), max-fails 5 % (was none), timeout 2 h (was none), "
        "memory 4 GB (was none)\n"
    )
    assert said.err == "It counts for 12 jobs that have not started\n"
    assert "has these settings already" in ana.line("task set mlp --priority 3").out
    shown = ana.line("task show 0").out
    assert "timeout changed from none to 2 h by ana" in shown
    assert "at most 2 h a job" in shown
    assert ana.line("task show 0 -o json").json["resources"]["memory_bytes"] == 4 * 10**9
    assert "note: the task is waiting. " in ana.line("task set 0 --cores 64 --timeout none").err
    ana.line("node create -n gauss -ec 2")
    unserved = "note: no node can run such a job: 1 node has {}. The task waits until one can.\n"
    wide = ana(*CREATE, "-t", "wide", "--exec", EXEC, "-q", "--cores", "64")
    assert unserved.format("fewer than 64 CPU slots") in wide.err
    set_ = ana.line("task set 0 --constraint gpu=a100 --cores 2")
    assert set_.err.endswith(unserved.format("no gpu=a100"))
    explained = ana.line("job explain 0/0").out
    assert "At present no node can run such a job: 1 node has no gpu=a100." in explained
    assert "no node" not in ana.line("task set 0 --constraint none --priority 4").err
    assert ana.line("task set 0 --grace 5s -o json").json == [
        {
            "id": 0,
            "name": "user.ana.mlp",
            "state": "REGISTERED",
            "revision": 6,
            "changes": [{"setting": "grace", "from": "30 s", "to": "5.0 s"}],
        }
    ]
    assert ana.line("task set 0 --priority 1 -q").out == "0\n"
    ana.line("task kill 0")
    assert ana.line("task set 0 --cores 1").err.endswith("maestro task retry 0\n")
    for typed, error in (
        ("task set 0", "error: nothing to change."),
        ("task set 0 --timeout 0", "error: --timeout must be greater than zero."),
        ("task set 0 --cores 0", 'error: --cores needs a whole number of at least 1, not "0".'),
        ("task set 0 --gpus 2", "error: jobs on the cpu queue get no GPU."),
        ("task set 0 --max-running none --goal loss", "error: "),
        ("task set 7 --priority 1", "error: there is no task 7."),
        ("task set --priority 1", "error: which task?"),
    ):
        assert ana.line(typed, status=2).err.startswith(error), typed


def test_watching_shows_changes_until_the_task_is_over(ana: Maestro, world: World) -> None:
    made(ana)
    watching = ana.start("task", "show", "0", "--watch")
    assert watching.stdout is not None
    first = watching.stdout.readline()
    assert "REGISTERED" in first
    ana.line("task kill 0")
    ana.line("task delete 0", status=2)
    out, err = watching.communicate(timeout=20) if _ended(ana, world) else ("", "")
    assert "KILLED" in out
    assert err == ""


def _ended(ana: Maestro, world: World) -> bool:
    world.conduct(3)
    return bool(wait_until(lambda: ana.line("task show 0 -o json").json["state"] == "KILLED"))


def test_a_retry_of_a_done_task_asks_on_a_terminal(ana: Maestro, world: World) -> None:
    made(ana, "mlp", "--bypass")
    world.run_all()
    answers = {b"n\n": "DONE", b"y\n": "REGISTERED"}
    for answer, state in answers.items():
        assert "Run them all again? [y/N]" in _on_terminal(ana, answer, "task", "retry", "0")
        assert ana.line("task list -a -o json").json[0]["state"] == state


def _on_terminal(ana: Maestro, answer: bytes, *words: str) -> str:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, *words],
        cwd=ana.folder,
        env=ana.environment(),
        stdin=follower,
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        os.write(leader, answer)
        said = b""
        while process.poll() is None or said.count(b"\n") == 0:
            try:
                said += os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
    os.close(leader)
    return said.decode()


@both_servers
def test_clean_frees_superseded_attempts(ana: Maestro, world: World) -> None:
    made(ana, "mlp", "--bypass")
    world.run_all(failing=(2,))
    ana.line("task retry 0")
    world.run_all()
    for number in (1, 2):
        attempt = ana.folder / "user.ana.mlp" / ".attempts" / "job_configId_2" / str(number)
        attempt.mkdir(parents=True)
        (attempt / "checkpoint").write_bytes(b"x" * 1000)
    link = ana.folder / "user.ana.mlp" / "job_configId_2"
    link.symlink_to(".attempts/job_configId_2/2")
    assert "no terminal to ask at" in ana.refused("task", "clean", "0")
    said = ana.line("task clean 0 --yes")
    assert "1 attempt removed, 1 kB freed" in said.out
    assert (link / "checkpoint").exists()
    assert "has no superseded attempts" in ana.line("task clean 0").out


def test_help_documents_the_exit_statuses(ana: Maestro) -> None:
    said = ana.line("task wait --help").out
    assert all(word in said for word in ("FINALIZED", "3 BROKEN", "4 KILLED", "--timeout"))


def test_the_folder_of_the_task_is_below_the_configured_volume(
    ana: Maestro, tmp_path: Path
) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    ana.env["MAESTRO_VOLUME"] = str(volume)
    made(ana)
    assert ana.line("task show 0 -o json").json["folder"] == f"{volume}/user.ana.mlp"


def test_a_tag_that_the_command_does_not_use_is_said(ana: Maestro) -> None:
    said = ana(*CREATE, "-t", "user.ana.mlp", "--exec", EXEC, "--sd", "{'%REF': 'user.ana.data'}")
    assert "the command does not use %REF (user.ana.data)" in said.err
