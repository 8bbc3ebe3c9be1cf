"""A database of every release: it is upgraded, nothing in it is lost, and work goes on where it stood.

The dumps in tests/golden are made by tools/golden, one a release; a released one never changes.
"""

from __future__ import annotations

import lzma
from pathlib import Path

import psycopg
import pytest

from golden import make
from orchestra.store.driver.database import connect
from orchestra.store.postgres import dump as dumps
from orchestra.store.schema import migrate
from support.maestro import Maestro

GOLDEN = sorted(Path(make.__file__).parent.glob("schema-*.dump.xz"))


def put_in_place(conn: psycopg.Connection, lab: Path) -> None:
    """Let the tasks find their files in this test's folder, and hurry."""
    for table, column in (("dataset_version", "root"), ("task", "volume"), ("task", "folder")):
        conn.execute(
            f"update {table} set {column} = replace({column}, %s, %s)", [make.LAB, str(lab)]
        )
    conn.execute("update task set command = replace(command, 'sleep 2', 'true')")


def states(maestro: Maestro) -> dict[str, str]:
    return {
        task["name"]: task["state"] for task in maestro("task", "list", "-a", "-o", "json").json
    }


def test_there_is_one() -> None:
    assert [path.name for path in GOLDEN][:1] == ["schema-1.dump.xz"]


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name.partition(".")[0])
def test_an_old_database_is_upgraded_and_works_on(
    newcomer: Maestro, empty_database_url: str, golden: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "golden.dump"
    plain.write_bytes(lzma.decompress(golden.read_bytes()))
    dumps.restore(empty_database_url, plain)
    newcomer.configure(postgres=empty_database_url)
    newcomer.env |= {"MAESTRO_NODE": "gauss"}
    with connect(empty_database_url) as conn:
        old = migrate.current(conn)
        newest = len(migrate.known())
        said = newcomer("user", "init")
        if old < newest:
            assert f"upgraded from schema {old} to {newest}; a dump of the old one is" in said.out
            [kept] = (Path(newcomer.env["MAESTRO_DATA_DIR"]) / "backups").iterdir()
            dumps.check_is_dump(kept)
        make.lab(newcomer.folder)
        put_in_place(conn, newcomer.folder)

    assert sum(user["admin"] for user in newcomer("user", "list", "-o", "json").json) == 1
    assert {node["owner"] for node in newcomer("node", "list", "-o", "json").json} == {"ana"}
    newcomer("db", "accept", "--yes")  # the dump is on another server now
    before = {
        "user.ana.done": "DONE",
        "user.ana.partly": "FINALIZED",
        "user.ana.killed": "KILLED",
        "user.ana.middle": "RUNNING",
        "user.ana.waiting": "TESTING",
    }
    assert states(newcomer) == before
    done = newcomer("job", "list", "3", "--state", "done", "-q").out.split()
    assert 2 <= len(done) < make.JOBS, "it stands in the middle"
    assert newcomer("job", "show", f"1/{make.FAILING}", "-o", "json").json["state"] == "failed"
    assert "exit status 1" in newcomer("task", "show", "1").out

    newcomer("pilot", "run", "-n", "gauss", "-m", "--detach")
    try:
        newcomer("task", "release", "3")
        newcomer("task", "wait", "3", timeout=90)
        newcomer("task", "retry", "1")
        newcomer("task", "wait", "1", status=1, timeout=90)
        assert states(newcomer) == before | {"user.ana.middle": "DONE"}
        failing = newcomer("job", "show", f"1/{make.FAILING}", "-o", "json").json
        assert failing["attempts"] == 2
        assert "GPU" in newcomer("job", "explain", "4/0").out
        assert newcomer("doctor", "-o", "json", status=None).json
    finally:
        newcomer("pilot", "stop", "-n", "gauss", "--now", "--yes", status=None)
