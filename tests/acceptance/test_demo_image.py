"""The image that `make demo-container` packs: whole in itself, and made without root or a network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra import demo
from support.containers import Engine
from support.maestro import Maestro

pytestmark = pytest.mark.needs("sklearn")


def pack(image: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestra.demo.pack_image", image],
        check=False,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_runs_in_it_with_nothing_from_outside(apptainer: Engine, tmp_path: Path) -> None:
    image, inputs, out = tmp_path / "digits.sif", tmp_path / "inputs", tmp_path / "out"
    packed = pack(image)
    assert packed.returncode == 0, packed.stderr
    out.mkdir()
    subprocess.run([sys.executable, demo.MAKE_INPUTS, inputs], check=True)
    config = next((inputs / "configs").iterdir())
    apptainer(
        *("exec", "--containall", "--bind", inputs, "--bind", out, image),
        *("python3", demo.IN_IMAGE, "-d", inputs / "digits.npz", "-c", config, "-o", out),
    )
    assert json.loads((out / "metrics.json").read_text())["accuracy"] > 0.5
    said = apptainer("exec", "--containall", image, "python3", "-c", "import numpy; print(numpy)")
    assert "/usr/lib/python" in said.stdout


def test_without_apptainer_it_says_what_to_do(tmp_path: Path) -> None:
    said = pack(tmp_path / "digits.sif", PATH=str(tmp_path))
    assert said.returncode == 2
    assert said.stderr.startswith("error: there is no Apptainer on this machine")
    assert "make containers" in said.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_demo_refuses_an_image_that_is_not_there(newcomer: Maestro) -> None:
    said = newcomer.refused("demo", "--containerImage", "no.sif", "--folder", "d")
    assert said.startswith("error: there is no image no.sif.")
    assert "pack_image no.sif" in said
    assert not (newcomer.folder / "d").exists()
