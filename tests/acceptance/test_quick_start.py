"""Commands that tests/support/quick_start.py runs end like those that the interpreter runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support import quick_start
from support.maestro import Maestro

SHOW = """
import os, signal, sys
print(sys.argv[1:], os.getcwd(), sys.path[0], sorted(os.environ.items()), sys.stdin.read(), __name__)
print(sys.stdout.encoding, signal.getsignal(signal.SIGINT), sorted(os.listdir("/proc/self/fd")))
print("é", "orchestra.cli" in sys.modules, file=sys.stderr)
sys.stdout.flush()
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGTERM)
if sys.argv[1] == "exit":
    raise SystemExit("no")
"""


@pytest.mark.parametrize("end", ["exit", "end", "kill"])
def test_a_module_begins_and_ends_alike(tmp_path: Path, end: str) -> None:
    (tmp_path / "show.py").write_text(SHOW)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NAME": "a b"}
    usual = subprocess.run(
        [sys.executable, "-m", "show", end, "x y"],
        check=False,
        cwd=tmp_path,
        env=env,
        input="typed\n",
        capture_output=True,
        text=True,
    )
    quick = quick_start.run(
        "show", [end, "x y"], cwd=tmp_path, env=env, typed="typed\n", timeout=60
    )
    assert (quick.stdout, quick.stderr) == (usual.stdout, usual.stderr)
    assert quick.returncode == usual.returncode
    assert quick.returncode == {"exit": 1, "end": 0, "kill": -signal.SIGTERM}[end]


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    (tmp_path / "wait.py").write_text("import time\nprint('there', flush=True)\ntime.sleep(100)\n")
    with pytest.raises(subprocess.TimeoutExpired):
        quick_start.run("wait", [], cwd=tmp_path, env={}, timeout=0.5)


def test_commands_say_the_same(newcomer: Maestro) -> None:
    newcomer.env["MAESTRO_POSTGRES"] = "postgresql://ana@127.0.0.1:1/x"
    for command in ("task list", "tusk list", "config show"):
        quick = newcomer.line(command, status=None)
        newcomer.within = ("env",)
        assert newcomer.line(command, status=None) == quick
        newcomer.within = ()
