"""Administration of the database: an upgrade keeps a dump, a restore raises the epoch."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from orchestra.domain.errors import (
    AlreadyExists,
    BadInput,
    DatabaseUnavailable,
    OrchestraError,
    Refused,
)
from orchestra.services.database import admin
from orchestra.services.database.admin import SchemaChange
from orchestra.store.schema import migrate
from support.world import World


def test_prepare_makes_the_schema_once(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        first = admin.prepare(conn)
        assert first.before == 0
        assert first.after == len(migrate.known())
        assert admin.prepare(conn) == SchemaChange(first.after, first.after)


def test_a_restore_restores_everything_and_raises_the_epoch(
    database_url: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    world = World(conn)
    task = world.task(5)
    cluster = admin.cluster_id(conn)
    path = tmp_path / "a.dump"
    assert admin.dump(database_url, path) == path.stat().st_size
    conn.execute("delete from job where task_id = %s", [task])
    change = admin.restore(conn, database_url, path)
    assert change.before == change.after
    assert len(world.jobs(task)) == 5
    assert admin.cluster_id(conn) == cluster
    assert conn.execute("select epoch from cluster").fetchone() == (2,)
    # The triggers are restored, too.
    world.conduct(1)
    assert world.counts(task) == world.true_counts(task)


def test_a_truncated_dump_changes_nothing(
    database_url: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    task = World(conn).task(5)
    whole, half = tmp_path / "whole.dump", tmp_path / "half.dump"
    admin.dump(database_url, whole)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(OrchestraError):
        admin.restore(conn, database_url, half)
    assert len(World(conn).jobs(task)) == 5


def test_a_dump_overwrites_nothing_and_leaves_nothing_half_written(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.dump"
    path.write_text("mine")
    with pytest.raises(AlreadyExists):
        admin.dump(database_url, path)
    assert path.read_text() == "mine"
    with pytest.raises(DatabaseUnavailable):
        admin.dump(database_url.replace("/test_", "/none_"), tmp_path / "b.dump")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.dump"]


def test_only_a_dump_is_restored_and_never_under_pilots(
    database_url: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="is not a dump"):
        admin.restore(conn, database_url, Path(__file__))
    path = tmp_path / "a.dump"
    admin.dump(database_url, path)
    World(conn).pilot("gauss")
    with pytest.raises(Refused, match="pilots are online on gauss"):
        admin.restore(conn, database_url, path)
