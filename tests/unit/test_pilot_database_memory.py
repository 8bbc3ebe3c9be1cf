"""What a pilot remembers of its database and of dead keepers outlives the pilot."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from orchestra.domain.models.cluster import DatabaseIdentity
from orchestra.pilot import database_memory
from orchestra.pilot.database_memory import DatabaseMemory


def test_reports_are_remembered_until_the_database_is_replaced(tmp_path: Path) -> None:
    path, cluster, keeper = tmp_path / "database.json", uuid4(), uuid4()
    first = DatabaseMemory(path)
    assert first.known is None
    assert not first.identify(DatabaseIdentity(cluster, 1))
    first.note_report(keeper, 7)
    first.note_generation(1000)
    first.note_generation(1000 + database_memory.GENERATION_STEP - 1)
    first.tick(float("inf"))
    second = DatabaseMemory(path)
    assert second.known is not None
    assert (second.known.cluster, second.known.epoch) == (cluster, 1)
    assert (second.known.acknowledged, second.known.generation) == ({keeper: 7}, 1000)
    assert second.identify(DatabaseIdentity(cluster, 2))
    assert (second.known.acknowledged, second.known.generation) == ({}, 0)


def test_dead_keepers_are_remembered_at_once_and_across_replacements(tmp_path: Path) -> None:
    path, cluster, keepers = tmp_path / "database.json", uuid4(), (uuid4(), uuid4())
    first = DatabaseMemory(path)
    first.identify(DatabaseIdentity(cluster, 1))
    first.note_report(keepers[0], 7)
    for keeper in (*keepers, keepers[0]):
        first.close_out(keeper)
    second = DatabaseMemory(path)
    assert second.closed_out == keepers[::-1]
    assert second.known is not None
    assert second.known.acknowledged == {}
    second.identify(DatabaseIdentity(cluster, 2))
    assert DatabaseMemory(path).closed_out == keepers[::-1]


def test_the_number_of_remembered_dead_keepers_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_memory, "MAX_CLOSED_OUT", 2)
    first, keepers = DatabaseMemory(tmp_path / "database.json"), [uuid4() for _ in range(3)]
    for keeper in keepers:
        first.close_out(keeper)
    assert first.closed_out == tuple(keepers[1:])


def test_a_file_without_dead_keepers_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "database.json"
    path.write_text(f'{{"cluster": "{uuid4()}", "epoch": 3, "acknowledged": {{}}}}')
    old = DatabaseMemory(path)
    assert old.known is not None
    assert (old.known.epoch, old.closed_out) == (3, ())
