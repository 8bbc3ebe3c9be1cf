"""A task with the settings of another one, and the options that change them."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from inspect import signature
from pathlib import Path

import pytest

from orchestra.cli.parser import Parser
from orchestra.cli.task_clone import clone_arguments
from orchestra.client.requests import new_task
from orchestra.client.tasks import Tasks
from orchestra.domain import cloning
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.tasks import Origin, Policy, Resources
from orchestra.domain.states import Queue
from orchestra.files import origin

OLD = NewTask(
    "user.ana.fit",
    "fit %IN %OUT",
    "user.ana.grid",
    "user.ana.digits",
    "/data",
    "ana",
    "gauss",
    env={"A": "1", "B": "2"},
    policy=Policy(test_jobs=3, timeout=60.0),
    resources=Resources(cores=4),
    binds=("/a:/a",),
)
NEW = replace(
    OLD,
    command="other %IN %OUT",
    env={"B": "3"},
    policy=Policy(test_jobs=0, retries=5),
    resources=Resources(cores=1, gpus=2),
    binds=("/b:/b",),
    placement=Placement("gpu=a100", ("gpu01",), ("gpu02",)),
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), OLD),
        (("cpus",), replace(OLD, resources=Resources(cores=1))),
        (("node",), replace(OLD, placement=Placement(nodes=("gpu01",)))),
        (("constraint", "not_node"), replace(OLD, placement=Placement("gpu=a100", not_nodes=("gpu02",)))),
        (("exec",), replace(OLD, command=NEW.command)),
        (("env", "bind"), replace(OLD, env={"A": "1", "B": "3"}, binds=("/a:/a", "/b:/b"))),
        (("bypass",), replace(OLD, policy=Policy(test_jobs=0, timeout=60.0))),
        (("retries", "gpus"), replace(OLD, policy=replace(OLD.policy, retries=5), resources=Resources(4, 2))),
    ],
)  # fmt: skip
def test_what_is_given_replaces_what_was(given: tuple[str, ...], expected: NewTask) -> None:
    assert cloning.changed(OLD, NEW, given) == expected


def test_a_clone_on_the_cpu_queue_asks_for_no_gpu() -> None:
    old = replace(OLD, queue=Queue.GPU, resources=Resources(4, 1, None, 4, 500, 10**9))
    assert cloning.changed(old, NEW, ("queue",)).resources == Resources(4, cpus_gpu_job=4)
    assert cloning.changed(old, NEW, ("queue", "cores")).resources.cores == 1


def test_every_option_has_a_field() -> None:
    parser = Parser()
    clone_arguments(parser)
    options = set(parser.get_default("defaults"))
    assert {"exec", "queue", "timeout", "memory"} <= options
    cloning.changed(OLD, NEW, options)


def test_every_argument_of_the_client_has_a_field() -> None:
    arguments = set(signature(new_task).parameters) - {"session", "name"}
    assert set(signature(Tasks.create).parameters) == arguments | {"self", "name", "if_not_exists"}
    cloning.changed(OLD, NEW, arguments)


def test_an_option_leaves_no_trace_unless_it_is_given() -> None:
    parser = Parser()
    clone_arguments(parser)
    found = vars(parser.parse(["7", "--timeout", "2h"]))
    assert set(found) - {"without_unit"} == {
        "old", "name", "config", "dry_run", "reuse", "defaults", "timeout"
    }  # fmt: skip


def test_where_the_program_comes_from_is_looked_up_again(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    known = Origin(str(script), "00", "/usr/bin/python3", "c" * 40, dirty=True)
    assert origin.again(known, {}) == known  # it is not there, nor is a repository
    script.write_text("")
    assert origin.again(known, {}) == replace(known, sha256=sha256(b"").hexdigest())
