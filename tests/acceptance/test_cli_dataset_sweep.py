"""`maestro dataset sweep`, as people type it."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import yaml

from support.maestro import Maestro
from support.waiting import wait_until

pytestmark = pytest.mark.both_ways

GRID = """\
base: {epochs: 3}
grid:
  lr: [1e-3, 1e-2]
  opt.name: [adam, sgd]
"""


def sweep(ana: Maestro, *more: object, text: str = GRID) -> Path:
    """Write the sweep's file beside Ana."""
    path = ana.folder / "grid.yaml"
    path.write_text(text)
    return path


def left_behind(ana: Maestro) -> list[str]:
    return sorted(path.name for path in ana.folder.iterdir() if path.name != "grid.yaml")


@pytest.fixture
def ana(maestro: Maestro) -> Maestro:
    sweep(maestro)
    return maestro


def test_a_sweep_becomes_a_data_set(ana: Maestro) -> None:
    said = ana.line("dataset sweep -n user.ana.grid grid.yaml -p configs")
    assert said.out.startswith("user.ana.grid: 4 files, ")
    files = sorted((ana.folder / "configs").iterdir())
    assert [file.name for file in files] == [
        "0_lr=0.001_name=adam.json",
        "1_lr=0.001_name=sgd.json",
        "2_lr=0.01_name=adam.json",
        "3_lr=0.01_name=sgd.json",
    ]
    assert json.loads(files[1].read_text()) == {"epochs": 3, "lr": 0.001, "opt": {"name": "sgd"}}
    assert left_behind(ana) == ["configs"]
    shown = ana.line("dataset show user.ana.grid -o json").json
    assert [entry["path"] for entry in shown["manifest"]] == [file.name for file in files]
    assert (ana.folder / "configs").stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_dry_run_shows_three_and_writes_nothing(ana: Maestro) -> None:
    said = ana.line("dataset sweep grid.yaml --dry_run")
    lines = said.out.splitlines()
    assert lines[0] == "4 configs; nothing was written"
    assert lines[1] == (
        '    0_lr=0.001_name=adam.json   {"epochs": 3, "lr": 0.001, "opt": {"name": "adam"}}'
    )
    assert len(lines) == 4
    found = ana.line("dataset sweep grid.yaml --dry_run -o json").json
    assert (found["points"], len(found["first"])) == (4, 3)
    assert left_behind(ana) == []


def test_yaml_and_templates(ana: Maestro) -> None:
    ana.line("dataset sweep -n user.ana.y grid.yaml -p y --format yaml")
    first = yaml.safe_load((ana.folder / "y/0_lr=0.001_name=adam.yaml").read_text())
    assert first == {"epochs": 3, "lr": 0.001, "opt": {"name": "adam"}}
    (ana.folder / "run.mac").write_text("/run/lr {{lr}}\n/run/epochs {{ epochs }}\n")
    sweep(ana, text=GRID + "template: run.mac\n")
    said = ana.line("dataset sweep -n user.ana.t grid.yaml -p t")
    assert "does not use opt.name" in said.err
    assert "2 configs are the same as an earlier one" in said.err
    assert (ana.folder / "t/2_lr=0.01_name=adam.mac").read_text() == "/run/lr 0.01\n/run/epochs 3\n"


@pytest.mark.parametrize(
    ("text", "command", "sentence"),
    [
        ("grid: [", "-p new", "grid.yaml is not valid YAML (line"),
        ("grdi: {}", "-p new", 'an unknown section "grdi". Did you mean "grid"?'),
        (GRID + "template: no.cfg\n", "-p new", "no.cfg is missing"),
        (GRID, "-p plain.cfg/new", "plain.cfg is not a folder, so new cannot be created in it"),
        (GRID + "template: plain.cfg\n", "-p new", "plain.cfg has no placeholders"),
        (
            GRID + "template: odd.json\n",
            "-p new",
            "odd.json with its first values is not valid JSON",
        ),
        (GRID + "template: t.cfg\n", "-p new", "t.cfg, line 2: the sweep has no value for {{rl}}"),
        ("a: &a [*a]\ngrid: {x: [1]}\nbase: *a", "-p new", "grid.yaml"),
        (GRID, "-p full", "is not empty"),
        (GRID, "-p plain.cfg", "plain.cfg is not a folder"),
        (GRID, "-p nowhere/new", "does not exist, so new cannot be created in it"),
        (GRID, "", "-p/--path is missing"),
        (GRID, "-p new -n user.bob.grid", "user.bob.grid"),
        (GRID, "-p new -n ana.grid", "ana.grid"),
        (GRID, "-p new -n user.ana.taken", 'a data set "user.ana.taken" already exists'),
    ],
)
def test_mistakes_leave_nothing(ana: Maestro, text: str, command: str, sentence: str) -> None:
    (ana.folder / "full").mkdir()
    (ana.folder / "full/mine").write_text("mine")
    for name, content in {
        "plain.cfg": "x",
        "odd.json": '{"name": {{opt.name}}}',
        "t.cfg": "{{lr}}\n{{rl}}",
    }.items():
        (ana.folder / name).write_text(content)
    ana.line("dataset create -n user.ana.taken -p full")
    sweep(ana, text=text)
    before = left_behind(ana)
    named = [] if "-n" in command.split() else ["-n", "user.ana.grid"]
    assert sentence in ana.refused("dataset", "sweep", "grid.yaml", *named, *command.split())
    assert left_behind(ana) == before
    assert [found["name"] for found in ana.line("dataset list -o json").json] == ["user.ana.taken"]


def test_an_empty_folder_is_taken(ana: Maestro) -> None:
    (ana.folder / "configs").mkdir()
    ana.line("dataset sweep -n user.ana.grid grid.yaml -p configs/")
    assert len(list((ana.folder / "configs").iterdir())) == 4


def test_too_many_are_asked_about(ana: Maestro) -> None:
    ana.env["MAESTRO_SWEEP_LIMIT"] = "3"
    command = ("dataset", "sweep", "-n", "user.ana.grid", "grid.yaml", "-p", "configs")
    said = ana.refused(*command)
    assert 'there is no terminal to ask at: "Write 4 configs into configs?"' in said
    assert left_behind(ana) == []
    ana(*command, "--yes")
    assert left_behind(ana) == ["configs"]


@pytest.mark.timeout(120)
def test_ctrl_c_leaves_nothing(ana: Maestro) -> None:
    sweep(ana, text="grid: {a: {range: 1000}, b: {range: 1000}}\n")
    process = ana.start(
        "dataset", "sweep", "-n", "user.ana.grid", "grid.yaml", "-p", "configs", "--yes"
    )
    wait_until(lambda: any(len(list(p.iterdir())) > 10 for p in ana.folder.glob(".configs.*")), 30)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert left_behind(ana) == []
    assert ana.line("dataset list -o json").json == []
