"""A run: data sets and a task in one transaction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, BadInput
from orchestra.domain.models.datasets import FileChoice, Manifest, Taken
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.runs import Files
from orchestra.domain.models.tasks import Origin
from orchestra.files import file_lists, manifest
from orchestra.interface.answers.runs import Run
from orchestra.services import datasets
from orchestra.services.tasks import runs
from support.registering import register

COMMAND = "python3 %SCRIPT -d %DATA -c %IN -o %OUT"


@pytest.fixture
def place(hostile_dir: Path) -> Path:
    """A folder with configs, data and a script."""
    (hostile_dir / "grid").mkdir()
    for number in range(3):
        (hostile_dir / "grid" / f"{number}.json").write_text("{}")
    (hostile_dir / "digits.npz").write_text("data")
    (hostile_dir / "fit.py").write_text("1")
    return hostile_dir


def new(place: Path, name: str = "user.ana.fit") -> NewTask:
    return NewTask(
        name, COMMAND, "", "", str(place), "ana", "gauss", origin=Origin(commit="1" * 40)
    )


def files(place: Path, configs: Manifest | None = None) -> tuple[Files, ...]:
    parts = {"IN": "grid", "DATA": "digits.npz", "SCRIPT": "fit.py"}
    scanned = {tag: manifest.scan(place / name) for tag, name in parts.items()}
    if configs:
        scanned["IN"] = configs
    return tuple(Files(tag, f"user.ana.{name}", scanned[tag]) for tag, name in parts.items())


def taken(run: Run) -> dict[str, tuple[str, int, Taken]]:
    found = {each.tag: each for each in run.plan.inputs}
    return {tag: (it.dataset.name, it.dataset.version, it.taken) for tag, it in found.items()}


def names(conn: psycopg.Connection) -> list[str]:
    return [each.name for each in datasets.list_datasets(conn, "ana")]


def test_files_become_data_sets_and_are_used_again_as_long_as_they_are_the_same(
    conn: psycopg.Connection, ana: Caller, place: Path
) -> None:
    run = runs.create(conn, ana, new(place), files(place))
    assert (run.task.name, run.task.jobs, run.task.origin) == (
        "user.ana.fit",
        3,
        Origin(commit="1" * 40),
    )
    assert taken(run) == {
        "IN": ("user.ana.grid", 1, Taken.NEW),
        "DATA": ("user.ana.digits.npz", 1, Taken.NEW),
        "SCRIPT": ("user.ana.fit.py", 1, Taken.NEW),
    }
    (place / "fit.py").touch()
    again = runs.create(conn, ana, new(place, "user.ana.fit-2"), files(place))
    assert {each.taken for each in again.plan.inputs} == {Taken.AS_IT_WAS}
    assert len(names(conn)) == 3


def test_a_changed_script_is_a_new_version_and_live_tasks_that_have_the_old_one_are_named(
    conn: psycopg.Connection, ana: Caller, place: Path
) -> None:
    register(conn, ana, "user.ana.program", place / "fit.py")
    first = runs.create(conn, ana, new(place), files(place))
    assert taken(first)["SCRIPT"] == ("user.ana.program", 1, Taken.AS_IT_WAS)
    (place / "fit.py").write_text("2")
    second = runs.create(conn, ana, new(place, "user.ana.fit-2"), files(place))
    assert taken(second)["SCRIPT"] == ("user.ana.program", 2, Taken.NEW_VERSION)
    assert {each.tag: each.live for each in second.plan.inputs} == {
        "IN": (),
        "DATA": (),
        "SCRIPT": (first.task.id,),
    }


def test_other_configs_of_the_same_folder_are_another_data_set(
    conn: psycopg.Connection, ana: Caller, place: Path
) -> None:
    first, second = (place / "grid" / f"{number}.json" for number in range(2))
    numbers = iter(range(9))

    def used(configs: Manifest | None = None) -> tuple[str, int, Taken]:
        name = f"user.ana.fit{next(numbers)}"
        return taken(runs.create(conn, ana, new(place, name), files(place, configs)))["IN"]

    assert used() == ("user.ana.grid", 1, Taken.NEW)
    (place / "grid" / "new.json").write_text("{}")
    assert used() == ("user.ana.grid", 2, Taken.NEW_VERSION)
    both = file_lists.of_paths([first, second])
    assert used(both) == ("user.ana.grid-2", 1, Taken.NEW)
    assert used(file_lists.of_paths([second, place / "grid" / "new.json"])) == (
        "user.ana.grid-3",
        1,
        Taken.NEW,
    )
    first.write_text("[]")
    assert used(file_lists.of_paths([first, second])) == ("user.ana.grid-2", 2, Taken.NEW_VERSION)
    some = manifest.scan(place / "grid", choice=FileChoice(exclude=("new*",)))
    assert used(some) == ("user.ana.grid-4", 1, Taken.NEW)
    assert used() == ("user.ana.grid", 3, Taken.NEW_VERSION)


def test_nothing_stays_of_a_plan_or_of_a_run_that_cannot_be(
    conn: psycopg.Connection, ana: Caller, place: Path
) -> None:
    plan = runs.plan(conn, ana, new(place), files(place), 2)
    assert plan.inputs[0].dataset.name == "user.ana.grid"
    assert len(plan.preview.commands) == 2
    assert names(conn) == []
    with pytest.raises(BadInput, match="no %OUT"):
        runs.create(conn, ana, replace(new(place), command="x %IN %DATA"), files(place))
    assert names(conn) == []
    runs.create(conn, ana, new(place), files(place))
    (place / "fit.py").write_text("2")
    with pytest.raises(AlreadyExists):
        runs.create(conn, ana, new(place), files(place))
    assert datasets.find(conn, "user.ana.fit.py").version == 1
