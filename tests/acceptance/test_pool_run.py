"""`maestro pool run`, with this machine as the engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import psycopg

from support import fake_slurm
from support.maestro import Maestro
from support.processes import with_text
from support.waiting import wait_until


def _create(maestro: Maestro, name: str, *words: object, engine: str = "local") -> None:
    maestro("pool", "create", name, "--engine", engine, *words)


def test_what_cannot_be_run(maestro: Maestro, tmp_path: Path) -> None:
    _create(maestro, "long", engine="slurm")
    assert 'there is no pool "lnog". Did you mean "long"?' in maestro.refused("pool", "run", "lnog")
    programs = tmp_path / "bin"
    programs.mkdir()
    for each in ("sh", "env"):
        (programs / each).symlink_to(shutil.which(each) or each)
    path = maestro.environment()["PATH"]
    maestro.env["PATH"] = str(programs)
    said = maestro.refused("pool", "run", "long")
    assert said.startswith("error: Slurm is not on this machine: there is no sbatch on the PATH.")
    maestro.env["PATH"] = path
    maestro.configure(
        postgres=json.loads((maestro.home / ".orchestra.json").read_text())["postgres"],
        username="bob",
    )
    assert (
        'pool "long" belongs to user "ana", but you are "bob"'
        in maestro("pool", "run", "long", status=None).err
    )
    maestro.configure(postgres="postgresql://127.0.0.1:1/none")
    assert "cannot be reached" in maestro("pool", "run", "long", status=None).err


def test_a_conductor_runs_the_pools_of_its_account(
    maestro: Maestro, conn: psycopg.Connection, tmp_path: Path
) -> None:
    slurm = fake_slurm.installed(tmp_path / "slurm")
    maestro.env["PATH"] = slurm.path
    _create(maestro, "long", "--min-pilots", 1, engine="slurm")
    process = maestro.start("conductor", "run")

    def states() -> list[tuple[str]]:
        return conn.execute("select state from allocation").fetchall()

    wait_until(lambda: states() == [("PENDING",)], 20)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert len([each for each in slurm.calls("sbatch") if "--test-only" not in each.words]) == 1


def test_a_pool_outlives_the_processes_that_run_it(
    maestro: Maestro, conn: psycopg.Connection, tcp_database_url: str
) -> None:
    """Jobs arrive, pilots come; the process is killed, another one goes on; Ctrl-C leaves the allocations alone."""
    maestro.env["MAESTRO_POOL_POLL"] = "1s"
    _create(maestro, "cpu", "--cpus", 2, "--idle", "1h")
    first = maestro.start("pool", "run", "cpu")

    def holder() -> str | None:
        row = conn.execute(
            "select holder from leader where duty = 'pool:cpu' and expires > now()"
        ).fetchone()
        return str(row[0]) if row else None

    began = wait_until(holder, 20)
    second = maestro.start("pool", "run", "cpu")
    (maestro.folder / "job.py").write_text("print('done')")
    (maestro.folder / "a.json").write_text("{}")
    maestro(
        "run",
        "job.py",
        "a.json",
        "-n",
        "one",
        "--test-jobs",
        0,
        timeout=60,
    )

    def allocations() -> list[tuple[str, bool]]:
        return conn.execute("select state, first_job_at is not null from allocation").fetchall()

    assert allocations() == [("SERVING", True)]
    (file,) = (maestro.home / ".orchestra/pools/cpu").glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    (pid,) = [each for each in with_text(str(file)) if os.getsid(each) == each]
    seen = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    assert tcp_database_url.encode() not in seen
    assert json.loads(file.read_text())["settings"]["postgres"] == tcp_database_url
    first.send_signal(signal.SIGKILL)
    wait_until(lambda: holder() not in (None, began), 10)
    second.send_signal(signal.SIGINT)
    assert second.wait(20) == 0
    assert "cpu: 1 allocation of it goes on." in second.communicate()[1]
    assert allocations() == [("SERVING", True)]
    third = maestro.start("pool", "run", "cpu")
    maestro("pool", "delete", "cpu", "--now", "--yes")
    assert third.wait(40) == 0
    wait_until(lambda: with_text(str(file)) == [])  # it signs off before it ends
    assert not file.exists()
    assert maestro("pool", "list", "-o", "json").json == []
