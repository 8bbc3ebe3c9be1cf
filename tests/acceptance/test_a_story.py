"""The lines of docs/a-story.md, run as a reader types them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.maestro import Maestro

pytestmark = pytest.mark.needs("sklearn")

STORY = Path(__file__).parents[2] / "docs" / "a-story.md"


def lines() -> list[str]:
    """The commands of the page."""
    [block] = re.findall(r"```console\n(.*?)```", STORY.read_text(), re.DOTALL)
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("demo_folder", ["story"], indirect=True)
def test_the_story_is_true(newcomer: Maestro, demo_folder: Path, tmp_path: Path) -> None:
    assert len(lines()) == 10
    script = tmp_path / "story.sh"
    script.write_text(
        "\n".join(f"echo {number}:\n{line}" for number, line in enumerate(lines(), 1))
    )
    programs = Path(sys.executable).parent
    told = subprocess.run(
        ["bash", str(script)],
        check=False,
        cwd=newcomer.folder,
        env=newcomer.environment() | {"PATH": f"{programs}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )
    demo = (newcomer.folder / "demo.txt").read_text()
    assert told.returncode == 0, (told, demo)
    parts = dict(re.findall(r"^(\d+):\n(.*?)(?=^\d+:\n|\Z)", told.stdout, re.DOTALL | re.MULTILINE))
    assert "34 done, 2 failed" in demo
    assert "exit status 3" in demo
    assert "learning rate must be positive" in demo
    assert "user.ana.mlp (task 0)   FINALIZED   34 done, 2 failed" in parts["9"]

    # There was a new agent afterwards.
    first, second = (
        re.search(r"^\S+ +online +\d+ +\S+ +(\d+)", parts[n], re.MULTILINE) for n in "47"
    )
    assert first
    assert second
    assert first[1] != second[1]

    # Every result exists, and only jobs that died with their keeper ran twice: at most one per slot.
    results = demo_folder / "results" / "user.ana.mlp"
    done = {path.parent.name for path in results.glob("job_configId_*/metrics.json")}
    assert done == {f"job_configId_{n}" for n in range(36)} - {"job_configId_17", "job_configId_22"}
    again = {path.parent.name for path in results.glob(".attempts/*/2")}
    assert len(again) <= 2
    assert not list(results.glob(".attempts/*/3"))
    listed = re.findall(r"^0/(\d+) +\w+ +2 ", parts["9"], re.MULTILINE)
    assert {f"job_configId_{n}" for n in listed} >= again
    assert parts["10"].count("lost: its keeper has died.") <= len(again)
    assert "the embedded database is stopped" in parts["10"]
