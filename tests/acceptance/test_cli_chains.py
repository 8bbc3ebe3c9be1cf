"""Tasks that follow one another, with a real pilot: outputs of one become configs of the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.maestro import Maestro

pytestmark = pytest.mark.both_ways


@pytest.fixture
def ana(maestro: Maestro) -> Iterator[Maestro]:
    """Ana with three configs and a node of two slots without a pilot."""
    folder = maestro.folder / "configs"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.json").write_text(f'{{"lr": {number}}}')
    (maestro.folder / "data.npz").write_text("data")
    maestro.line("dataset create -n user.ana.grid -p configs")
    maestro.line("dataset create -n user.ana.data -p data.npz")
    maestro.line("node create -n gauss -ec 2 -eg 0")
    yield maestro
    maestro("pilot", "stop", "-n", "gauss", "--now", "--yes", status=None)


def create(ana: Maestro, name: str, command: str, *more: str, config: str = "user.ana.grid") -> str:
    said = ana(
        *("task", "create", "-t", f"user.ana.{name}", "-c", config, "-d", "user.ana.data"),
        *("--exec", f": %DATA; {command}", *more),
    )
    return said.out + said.err


TRAIN = 'echo "{\\"acc\\": 0.$ORCHESTRA_JOB}" > %OUT/metrics.json; cat %IN'
EVAL = "cp %IN/metrics.json %OUT/metrics.json"


def test_a_task_of_the_outputs_of_one_that_has_not_begun(ana: Maestro) -> None:
    create(ana, "train", TRAIN)
    refused = ana.refused(
        *("task", "repro", "--new_task", "user.ana.x", "--old_task", "user.ana.train"),
        *("-d", "user.ana.data", "--exec", "x %DATA %IN %OUT"),
    )
    assert "--after 0 lets the new task wait until they are." in refused
    said = create(ana, "eval", EVAL, "--after", "user.ana.train", config="task:user.ana.train")
    assert "task 1: user.ana.eval, 3 jobs" in said
    assert "It starts when task 0 (user.ana.train) is DONE; it is REGISTERED now." in said
    assert "after task 0" in ana.line("task list").out
    assert "is waiting for another task" in ana.line("job explain 1/2").out
    assert ana.line("task show 1 -o json").json["after"] == [
        {"id": 0, "name": "user.ana.train", "state": "REGISTERED"}
    ]
    assert "are the outputs of task 0" in ana.refused("task", "release", 1)

    ana.start("pilot", "run", "-n", "gauss")
    ana("task", "wait", 0, 1, timeout=60)
    shown = ana.line("task show 1")
    assert "no longer waits: task 0 (user.ana.train) is DONE" in shown.out
    assert "the outputs of 3 jobs" in shown.out
    accuracies = [row["acc"] for row in ana.line("task results 1 -o json").json]
    assert accuracies == [0.0, 0.1, 0.2]


def test_a_task_after_one_that_breaks(ana: Maestro) -> None:
    create(ana, "first", "echo %IN %OUT; exit 3")
    create(ana, "second", "echo %IN %OUT", "--after", "0")
    ana.start("pilot", "run", "-n", "gauss")
    ana("task", "wait", 0, status=3, timeout=60)
    assert "after task 0 (BROKEN)" in ana.line("task list").out
    shown = ana.line("task show 1").out
    assert "but that task is BROKEN: maestro task retry 0 runs the jobs that are not done" in shown
    assert "To start it without waiting: maestro task release 1" in shown
    waiting = ana("task", "wait", 1, "--timeout", "1s", status=5)
    told = "  It starts when task 0 (user.ana.first) is DONE, but that task is BROKEN: maestro task retry 0"
    assert any(line.startswith(told) for line in waiting.err.splitlines())
    said = ana.line("task release 1")
    assert "task 1 (user.ana.second) no longer waits for task 0" in said.out
    ana("task", "wait", 1, timeout=60)


def test_one_cannot_wait_for_a_task_that_is_not_there(ana: Maestro) -> None:
    assert 'there is no task "user.ana.x"' in ana.refused(
        *("task", "create", "-t", "user.ana.x", "-c", "user.ana.grid", "-d", "user.ana.data"),
        *("--exec", "x %DATA %IN %OUT", "--after", "user.ana.x"),
    )
