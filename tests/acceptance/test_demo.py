"""`maestro demo` where it may not write, and interrupted; test_a_story.py runs it from start to end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support.maestro import Maestro
from support.waiting import wait_until

pytestmark = pytest.mark.needs("sklearn")


def test_the_demo_does_not_write_into_other_peoples_folders(newcomer: Maestro) -> None:
    (newcomer.folder / "mine").write_text("x")
    assert "is not empty" in newcomer.refused("demo", "--folder", newcomer.folder)
    assert [path.name for path in newcomer.folder.iterdir()] == ["mine"]


@pytest.mark.timeout(240)
def test_ctrl_c_leaves_nothing_running(newcomer: Maestro, demo_folder: Path) -> None:
    newcomer.env = {"MAESTRO_POSTGRES": "postgresql://nobody@db.invalid/x"}  # not the demo's affair
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
