"""`maestro run`: what it prints for programs, Ctrl-C, and what is left of a mistake."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from support.maestro import Maestro

pytestmark = pytest.mark.both_ways


@pytest.fixture
def ana(maestro: Maestro) -> Maestro:
    """Ana with a script and three configs in a folder, among them an editor's leftover; there is no node."""
    (maestro.folder / "configs").mkdir()
    for name in ("a.json", "b.json", "b.json~"):
        (maestro.folder / "configs" / name).write_text("{}")
    (maestro.folder / "fit.py").write_text("")
    return maestro


def test_it_creates_the_task_and_follows_it(ana: Maestro) -> None:
    process = ana.start("run", "fit.py", ".", "-o", "json", stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = ""
    while "is REGISTERED" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    task = ana.line("task show 0 -o json").json
    assert (task["name"], task["state"], task["jobs"]) == ("user.ana.fit", "REGISTERED", 2)
    assert task["command"].endswith("/python3 %SCRIPT -c %IN -o %OUT")
    assert task["origin"]["script"] == str(ana.folder / "fit.py")
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "task 0 continues" in rest
    assert "fit.py is the script, and not one of the configs" in said
    assert "Skipped configs/b.json~" in said
    taken = [(each["tag"], each["dataset"], each["taken"]) for each in json.loads(out)["inputs"]]
    assert taken == [("IN", "user.ana.work", "new"), ("SCRIPT", "user.ana.fit.py", "new")]
    assert ana.line("run fit.py . --name fit --if-not-exists --detach -q").out == "0\n"


def test_nothing_stays_of_what_cannot_be_created(ana: Maestro) -> None:
    assert "get no GPU" in ana.refused("run", "fit.py", "--seeds", 2, "--gpus", 1)
    ana.line("run fit.py --seeds 2 --dry_run")
    assert ana.line("dataset list -q").out == ""
    assert sorted(path.name for path in ana.folder.iterdir()) == ["configs", "fit.py"]
