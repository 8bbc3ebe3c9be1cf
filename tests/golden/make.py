"""Makes a golden dump with the program that is on PYTHONPATH: people work with it, then it is dumped. See tools/golden.

Only the command line is used, which stays as it is from release to release. What names this machine is written over.
"""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

JOBS = 12
FAILING = 7
PROGRAM = (sys.executable, "-P", "-m", "orchestra.cli.main")

LAB = "/golden"
"""What stands in the dump for the folder of all files; the test puts its own in its place."""

# What would tell of this machine: names, ids, folders.
_ANONYMOUS = """
update orchestra.dataset_version set root = replace(root, '{folder}', '{lab}');
update orchestra.task set volume = replace(volume, '{folder}', '{lab}'), folder = replace(folder, '{folder}', '{lab}');
update orchestra.event set why = 'from gauss' where why like 'from %';
update orchestra.pilot set machine_id = 'machine', boot_id = 'boot', host = 'gauss', account = 'ana', runtimes = '{{}}';
update orchestra.keeper set machine_id = 'machine', boot_id = 'boot', host = 'gauss';
"""
# Run in a process that sees the program: where its database is, only it knows.
_RUN_SQL = """
import sys
from pathlib import Path
from orchestra.store.postgres import embedded
from orchestra.store.driver.database import connect
with connect(embedded.ensure_running(Path(sys.argv[1]))) as conn:
    conn.execute(sys.argv[2])
    print(conn.execute("select max(number) from orchestra.schema_migration").fetchone()[0])
"""


class Person:
    """Somebody who types."""

    def __init__(self, scratch: Path) -> None:
        self.folder = scratch / "lab"
        self.data = scratch / "data"
        self.folder.mkdir()
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ["PYTHONPATH"],
            "HOME": str(self.folder),
            "USER": "ana",
            "MAESTRO_DATA_DIR": str(self.data),
            "MAESTRO_STATE_DIR": str(scratch / "state"),
            "MAESTRO_NODE": "gauss",
            "MAESTRO_EMAIL": "ana@example.org",
        }

    def types(self, *words: str, status: int = 0) -> str:
        """Run a command that must end like this; gives what it said."""
        return self._run([*PROGRAM, *words], status)

    def _run(self, command: list[str], status: int) -> str:
        done = subprocess.run(
            command, env=self.env, cwd=self.folder, text=True, capture_output=True, timeout=120, check=False
        )  # fmt: skip
        if done.returncode != status:
            sys.exit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def sql(self, statements: str) -> str:
        """Run SQL; gives the number of the schema."""
        return self._run([sys.executable, "-c", _RUN_SQL, str(self.data), statements], 0).strip()


def lab(folder: Path) -> None:
    """Write the files of the golden data sets: the test writes the very same ones, elsewhere."""
    (folder / "configs").mkdir()
    for number in range(JOBS):
        (folder / "configs" / f"c{number:02}.json").write_text(json.dumps({"number": number}))
    (folder / "data.txt").write_text("the data\n")


def main(scratch: Path, target: Path) -> None:
    """Make the dump."""
    ana = Person(scratch)
    lab(ana.folder)
    ana.types("up", "--cpus", "2", "--gpus", "0", "--detach")
    try:
        _work(ana)
        ana.types("down")
        schema = ana.sql(_ANONYMOUS.format(folder=ana.folder, lab=LAB))
        ana.types("db", "dump", str(scratch / "dump"))
        path = target / f"schema-{schema}.dump.xz"
        path.write_bytes(lzma.compress((scratch / "dump").read_bytes(), preset=9))
        print(f"{path}: {path.stat().st_size} bytes")
    finally:
        ana.types("down", "--kill", "--yes")
        ana.types("db", "stop", "--immediate")


def _work(ana: Person) -> None:
    """Leave a task that is done, one with a failure, one that was killed, one in the middle and one that waits."""
    ana.types("user", "create", "-n", "bob", "-e", "bob@example.org")
    ana.types("dataset", "create", "-n", "user.ana.configs", "-p", "configs")
    ana.types("dataset", "create", "-n", "user.ana.data", "-p", "data.txt")
    ana.types("node", "create", "-n", "euler", "-ec", "4", "-eg", "2")
    _task(ana, "done", "echo {} > %OUT/metrics.json")
    _task(ana, "partly", f"! grep -q {FAILING} %IN", "--test-jobs", "2")
    ana.types("task", "wait", "0")
    ana.types("task", "wait", "1", status=1)
    _task(ana, "killed", "sleep 60")
    ana.types("task", "kill", "2")
    ana.types("task", "wait", "2", status=4)
    _task(ana, "middle", "sleep 2", "--bypass")
    _until(lambda: _done(ana, 3) >= 2)
    ana.types("task", "hold", "3", "--reason", "the new version comes")
    _task(ana, "waiting", "true", "--queue", "gpu")


def _task(ana: Person, name: str, command: str, *options: str) -> None:
    ana.types(
        *("task", "create", "-c", "user.ana.configs", "-d", "user.ana.data", "-t", f"user.ana.{name}"),
        *("--exec", f": %DATA %IN %OUT; {command}", *options),
    )  # fmt: skip


def _done(ana: Person, task: int) -> int:
    listed = json.loads(ana.types("job", "list", str(task), "-o", "json"))
    jobs = listed["jobs"] if isinstance(listed, dict) else listed
    return sum(job["state"] == "done" for job in jobs)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("it takes too long")
        time.sleep(0.1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
