"""`maestro demo` from start to end: real trainings, two of which fail on purpose."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from support.maestro import Maestro
from support.waiting import wait_until

pytestmark = pytest.mark.needs("sklearn")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_demo(newcomer: Maestro, demo_folder: Path) -> None:
    newcomer.env = {"MAESTRO_POSTGRES": "postgresql://nobody@db.invalid/x"}  # not the demo's affair
    said = newcomer("demo", "--folder", demo_folder.name, timeout=500)
    assert "34 done, 2 failed" in said.out
    assert "exit status 3" in said.out
    assert "signal 9" in said.out
    assert re.search(r"Its page, while it runs: http://127.0.0.1:\d+/tasks/0", said.out)
    assert "the embedded database is stopped" in said.out
    assert (demo_folder / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    header, *rows = re.findall(
        r"^(?:JOB|0/\d+) .*accuracy.*$|^0/\d+ +\d+ .*$", said.out, re.MULTILINE
    )
    place = header.split().index("accuracy")
    accuracies = [float(row.split()[place]) for row in rows]
    assert len(accuracies) == 5
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > 0.9

    (mail,) = (demo_folder / "database" / "mail").glob("*.eml")
    assert f"\n  {mail}\n" in said.out
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


def test_the_demo_does_not_write_into_other_peoples_folders(newcomer: Maestro) -> None:
    (newcomer.folder / "mine").write_text("x")
    assert "is not empty" in newcomer.refused("demo", "--folder", newcomer.folder)
    assert [path.name for path in newcomer.folder.iterdir()] == ["mine"]


@pytest.mark.timeout(240)
def test_ctrl_c_leaves_nothing_running(newcomer: Maestro, demo_folder: Path) -> None:
    demo = newcomer.start("demo", "--folder", demo_folder)
    results = demo_folder / "results" / "user.ana.mlp"
    wait_until(lambda: list(results.glob("job_configId_*")), 90)
    demo.send_signal(signal.SIGINT)
    out, _ = demo.communicate(timeout=90)
    assert demo.returncode == 130, out
    assert "the embedded database is stopped" in out
    wait_until(lambda: not _processes_in(demo_folder), 30, lambda: _processes_in(demo_folder))


def _processes_in(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command.replace("\0", " "))
    return found
