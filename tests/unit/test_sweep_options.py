"""Sweeps described by options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestra.command_words import message_of
from orchestra.domain.errors import BadInput
from orchestra.files import sweep_options, sweeps


def said(grid: list[str], seeds: str | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        sweeps.plan(None, sweep_options.described(grid, seeds))
    return message_of(caught.value)


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("lr=0.1,1e-3,.5", [0.1, 0.001, 0.5]),
        ("n=8, 16,-1", [8, 16, -1]),
        ("act = relu,tanh", ["relu", "tanh"]),
        ("flag=true,false,null", [True, False, None]),
        ('flag="yes",no-op', ["yes", "no-op"]),
        ("layers=[16,16],[32]", [[16, 16], [32]]),
        ('name="a, b",c=d', ["a, b", "c=d"]),
        ("path=/data/é,~/x", ["/data/é", "~/x"]),
        ("date=2024-01-01", ["2024-01-01"]),
        ("one=1", [1]),
        ("x={range: [0, 5, 2]}", {"range": [0, 5, 2]}),
    ],
)
def test_values_are_read_as_in_yaml(option: str, values: Any) -> None:
    name = option.partition("=")[0].strip()
    assert sweep_options.described([option]) == {"grid": {name: values}}


@pytest.mark.parametrize(
    ("seeds", "values"), [("3", [0, 1, 2]), ("1", [0]), ("3,7,9", [3, 7, 9]), ("7,0", [7, 0])]
)
def test_seeds(seeds: str, values: list[int]) -> None:
    planned = sweeps.plan(None, sweep_options.described([], seeds))
    assert [point["seed"] for point in planned.sweep] == values


def test_options_make_the_configs_of_every_combination() -> None:
    found = sweep_options.described(["lr=0.1,0.01", "optimizer.name=adam,sgd"], "2")
    planned = sweeps.plan(None, found)
    first = planned.first(8)
    assert planned.points == 8
    assert first[1].name == "1_lr=0.1_name=adam_seed=1.json"
    assert [planned.sweep.config(point) for point in planned.sweep][1] == {
        "lr": 0.1,
        "optimizer": {"name": "adam"},
        "seed": 1,
    }
    assert sweep_options.described([]) == {}


def test_options_add_to_the_grid_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text("base: {epochs: 3}\ngrid: {lr: [0.1, 0.2]}\n")
    assert sweeps.plan(file, sweep_options.described([], "5")).points == 10
    with pytest.raises(BadInput, match=r'^"lr" varies twice, in grid.yaml and in an option\.$'):
        sweeps.plan(file, sweep_options.described(["lr=1"]))
    file.write_text("base: {epochs: 3}\n")
    assert sweeps.plan(file, sweep_options.described(["lr=1,2"])).points == 2


@pytest.mark.parametrize(
    ("grid", "seeds", "says"),
    [
        (["lr"], None, "--grid lr is not of the form NAME=VALUES."),
        (["=1"], None, "--grid =1 is not of the form NAME=VALUES."),
        (["lr="], None, "--grid lr= has no values."),
        (["lr=0.1,"], None, "--grid lr=0.1, ends with a comma."),
        (["lr=1,,2"], None, "--grid lr=1,,2 is not valid YAML."),
        (["lr=[1"], None, "--grid lr=[1 is not valid YAML."),
        (["a=yes,no"], None, '--grid a=yes,no has yes, which YAML parsers read differently: write true or "yes".'),
        (["a=010"], None, '--grid a=010 has 010, which YAML parsers read differently: write 10 or 8 or "010".'),
        (["a={b: 1}"], None, "--grid a={b: 1} has a name within its values."),
        (["a=b: 1,2"], None, "--grid a=b: 1,2 has a name within its values."),
        (["a=1", "a=2"], None, '--grid a=2: "a" varies twice.'),
        (["a=1", "a.b=2"], None, 'the sweep: both "a" and "a.b" in it vary.'),
        (["a..b=1"], None, 'the sweep: grid: "a..b" is not a name.'),
        (["x={range: [3, 0]}"], None, "the sweep: grid: x: range: that makes no value."),
        (["seed=1"], "3", '--grid and --seeds both vary "seed".'),
        ([], "x", '--seeds "x" is neither a number of seeds nor a list of them.'),
        ([], "3,", '--seeds "3," is neither a number of seeds nor a list of them.'),
        ([], "0", "--seeds must be between 1 and 1,000,000."),
        ([], "3,3", "--seeds 3,3 names a seed twice."),
    ],
)  # fmt: skip
def test_mistakes_get_one_sentence(grid: list[str], seeds: str | None, says: str) -> None:
    assert said(grid, seeds) == says
