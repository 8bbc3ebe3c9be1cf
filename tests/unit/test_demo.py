"""The demo's scripts, run as a user runs them. scikit-learn is part of what `make test` sets up."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orchestra import demo
from orchestra.cli.local import demo as command
from orchestra.config import load
from orchestra.demo import make_inputs
from orchestra.domain.naming import natural_key


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "a b'"
    subprocess.run([sys.executable, demo.MAKE_INPUTS, folder], check=True)
    return folder


def config_of(inputs: Path, job: int) -> Path:
    return sorted((inputs / "configs").iterdir(), key=lambda path: natural_key(path.name))[job]


def train(inputs: Path, config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    out.mkdir(parents=True)
    return subprocess.run(
        [sys.executable, demo.TRAIN, "-d", inputs / "digits.npz", "-c", config, "-o", out],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )


def test_the_grid_is_hidden_units_times_learning_rate_times_seed(inputs: Path) -> None:
    files = sorted((inputs / "configs").iterdir(), key=lambda path: natural_key(path.name))
    assert [json.loads(file.read_text()) for file in files] == make_inputs.grid()
    assert len(files) == 36
    places = (make_inputs.NEGATIVE_LEARNING_RATE, make_inputs.KILLED)
    wanted = list(
        itertools.product(make_inputs.HIDDEN, make_inputs.LEARNING_RATES, make_inputs.SEEDS)
    )
    for place, config in enumerate(make_inputs.grid()):
        found = (config["hidden"], config["learning_rate"], config["seed"])
        assert (found == wanted[place] and len(config) == 3) == (place not in places)
    # Orchestra tries ten first; the demo shows failures behind a test that went well.
    assert min(places) >= 10


def test_a_training_learns_and_leaves_metrics_and_a_checkpoint(
    inputs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o'ut"
    ended = train(inputs, config_of(inputs, 30), out)
    assert ended.returncode == 0, ended.stderr
    assert "epoch  30" in ended.stdout
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.9
    assert {"hidden", "learning_rate", "seed", "loss", "epochs", "seconds"} <= metrics.keys()
    with np.load(out / "model.npz") as model:
        assert model["weights_0"].shape == (64, metrics["hidden"])
    assert sorted(path.name for path in out.iterdir()) == ["metrics.json", "model.npz"]


def test_a_negative_learning_rate_exits_3(inputs: Path, tmp_path: Path) -> None:
    config = config_of(inputs, make_inputs.NEGATIVE_LEARNING_RATE)
    ended = train(inputs, config, tmp_path / "out")
    assert ended.returncode == 3
    assert ended.stderr == "ValueError: learning rate must be positive\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_config_that_is_killed_dies_of_a_signal(inputs: Path, tmp_path: Path) -> None:
    ended = train(inputs, config_of(inputs, make_inputs.KILLED), tmp_path / "out")
    assert ended.returncode == -signal.SIGKILL


def test_the_demo_has_a_database_of_its_own_whatever_the_machine_is_configured_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "etc.json"
    system.write_text('{"postgres": "postgresql://db/lab", "data_dir": "/lab", "lease": "1 h"}')
    monkeypatch.setenv("MAESTRO_SYSTEM_CONFIG", str(system))
    place = command._prepare(tmp_path / "demo")
    settings = load(str(place.configuration))
    assert settings.postgres is None
    assert settings.data_dir == tmp_path / "demo" / "database"
    assert settings.lease == load(environ={"MAESTRO_SYSTEM_CONFIG": ""}).lease
