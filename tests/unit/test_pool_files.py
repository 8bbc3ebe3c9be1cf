"""The files of allocations, and the configuration in them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from orchestra.config import load
from orchestra.pools.files import KEPT, AllocationFiles
from orchestra.wiring.pools import _settings_as_json


@pytest.fixture
def files(hostile_dir: Path) -> AllocationFiles:
    return AllocationFiles(hostile_dir / "pools" / "cpu")


def written(files: AllocationFiles, cluster: str = "c1") -> UUID:
    key = uuid4()
    files.write(key, {"cluster": cluster, "secret": "s"})
    return key


def test_a_configuration_is_for_its_account_alone(files: AllocationFiles) -> None:
    before = os.umask(0)
    try:
        path = files.configuration(written(files))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.parent.stat().st_mode & 0o7777 == 0o700
    assert json.loads(path.read_text())["secret"] == "s"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_what_was_not_written_whole_is_written_again(files: AllocationFiles) -> None:
    key = written(files)
    beside = files.configuration(key).with_suffix(".part")
    beside.symlink_to("/dev/full")
    files.write(key, {"cluster": "c1"})
    assert json.loads(files.configuration(key).read_text()) == {"cluster": "c1"}
    assert not beside.is_symlink()


def test_only_what_has_ended_is_swept(files: AllocationFiles) -> None:
    live, ended, other = written(files), written(files), written(files, "c2")
    folder = files.log(live).parent
    for key in (live, ended):
        files.log(key).write_text("x")
    stranger = folder / "notes.json"
    stranger.write_text("{}")
    old = time.time() - KEPT - 60
    os.utime(files.log(ended), (old, old))
    os.utime(files.configuration(other), (old, old))
    files.sweep([live], "c1")
    left = {files.configuration(live), files.log(live), files.configuration(other), stranger}
    assert set(folder.iterdir()) == left


def test_nothing_is_left_of_an_empty_folder(files: AllocationFiles) -> None:
    key = written(files)
    files.sweep([], "c1")
    assert not files.log(key).parent.exists()
    files.sweep([], "c1")


def test_the_last_line_of_the_output(files: AllocationFiles) -> None:
    key = written(files)
    assert files.last_line(key) == ""
    files.log(key).write_bytes(b"one\n" * 5000 + b"error: \xff no database.\n\n")
    assert files.last_line(key) == "error: \ufffd no database."


def test_a_pilot_reads_the_settings_of_the_process_that_submitted_it(tmp_path: Path) -> None:
    address = tmp_path / "url"
    address.write_text("postgresql://ana:s%40crt@db/orchestra\n")
    address.chmod(0o600)
    own = tmp_path / "own.json"
    own.write_text(
        json.dumps(
            {
                "postgres_file": str(address),
                "lease": "1 h",
                "node": "login",
                "to_email": ["a@b.org"],
            }
        )
    )
    own.chmod(0o600)
    variables = {"MAESTRO_SYSTEM_CONFIG": "", "MAESTRO_VOLUME": "/data/a b", "MAESTRO_ALLOW_ROOT": "1",
                 "MAESTRO_LOG_LIMIT": "5 MB", "MAESTRO_CONTAINER_BINDS": "/a:/a /b:/b:ro"}  # fmt: skip
    settings = load(str(own), variables)
    given = json.loads(json.dumps(_settings_as_json(settings)))
    read = load(environ={"MAESTRO_SYSTEM_CONFIG": "", "HOME": str(tmp_path)}, given=given)
    assert read.postgres == "postgresql://ana:s%40crt@db/orchestra"
    assert "node" not in given
    for name in ("lease", "volume", "allow_root", "log_limit", "container_binds", "to_email"):
        assert getattr(read, name) == getattr(settings, name), name
