"""The lines of docs/a-story.md, run as a reader types them: the whole demo, while its parts are killed.

Its trainings import a stand-in for scikit-learn; unit/test_demo.py and test_demo_image.py train with the real one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import light_sklearn
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
def test_the_story_is_true_and_the_demo_shows_its_results(
    newcomer: Maestro, demo_folder: Path, tmp_path: Path
) -> None:
    assert len(lines()) == 10
    script = tmp_path / "story.sh"
    script.write_text(
        "\n".join(f"echo {number}:\n{line}" for number, line in enumerate(lines(), 1))
    )
    programs, stand_in = Path(sys.executable).parent, Path(light_sklearn.__path__[0])
    told = subprocess.run(
        ["bash", str(script)],
        check=False,
        cwd=newcomer.folder,
        env=newcomer.environment()
        | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(stand_in)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
    )
    demo = (newcomer.folder / "demo.txt").read_text()
    assert told.returncode == 0, (told, demo)
    parts = dict(re.findall(r"^(\d+):\n(.*?)(?=^\d+:\n|\Z)", told.stdout, re.DOTALL | re.MULTILINE))
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

    check_what_the_demo_shows(newcomer, demo_folder, demo)


def check_what_the_demo_shows(newcomer: Maestro, demo_folder: Path, said: str) -> None:
    """Real trainings, two of which failed on purpose, a picture, a mail, and commands to try."""
    assert "34 done, 2 failed" in said
    assert "exit status 3" in said
    assert "signal 9" in said
    assert re.search(r"Its page, while it runs: http://127.0.0.1:\d+/tasks/0", said)
    assert "the embedded database is stopped" in said
    assert (demo_folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    header, *rows = re.findall(r"^(?:JOB|0/\d+) .*accuracy.*$|^0/\d+ +\d+ .*$", said, re.MULTILINE)
    place = header.split().index("accuracy")
    accuracies = [float(row.split()[place]) for row in rows]
    assert len(accuracies) == 5
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > 0.9

    (mail,) = (demo_folder / "database" / "mail").glob("*.eml")
    assert f"\n  {mail}\n" in said
    assert "Best by accuracy:" in mail.read_text()

    # What it says at its end works as it stands there.
    newcomer.env = {"MAESTRO_CONFIG": str(demo_folder / "orchestra.json")}
    assert "accuracy" in newcomer.line("task results 0 --sort -accuracy").out
    assert newcomer.line("task plot 0 -m seconds").out == "user.ana.mlp.png\n"
    assert "learning rate must be positive" in newcomer("job", "logs", "0/17").out
    assert "learning rate must be positive" in newcomer.line("mail show 1").out
    newcomer("up", "--detach")
    newcomer("task", "retry", 0)
    assert newcomer("task", "wait", 0, status=None, timeout=120).status == 1
    assert "34 done, 2 failed" in newcomer("task", "show", 0).out
    newcomer("down")
    metrics = demo_folder / "results" / "user.ana.mlp" / "job_configId_0" / "metrics.json"
    assert 0.5 < json.loads(metrics.read_text())["accuracy"] <= 1
