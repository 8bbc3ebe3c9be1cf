"""Allocations that are processes of this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path
from uuid import uuid4

import pytest

from orchestra.domain.models.pools import Phase, PoolSpec, Refusal, Submission
from orchestra.pools.engines import inside
from orchestra.pools.engines.local import LocalEngine
from support.waiting import wait_until

SLEEPS = ("sh", "-c", "echo started; trap 'echo told; exit' TERM; while :; do sleep 0.05; done")


@pytest.fixture
def engine() -> LocalEngine:
    return LocalEngine(os.environ)


def asked(folder: Path, *command: str, walltime: float = 60.0) -> Submission:
    spec = PoolSpec(cpus=2, memory_bytes=10**9)
    return Submission(uuid4(), spec, walltime, command, str(folder / "log"), 0.2)


def test_a_process_is_an_allocation(engine: LocalEngine, tmp_path: Path) -> None:
    submission = asked(tmp_path, *SLEEPS)
    number = engine.submit(submission)
    assert isinstance(number, str)
    # Another process finds it, too.
    other = LocalEngine(os.environ)
    assert other.status([], [submission.name])[number].phase is Phase.RUNNING
    wait_until(lambda: (tmp_path / "log").read_text() == "started\n")
    other.cancel([number], pending_only=True)
    assert engine.status([number])[number].phase is Phase.RUNNING, "it has started"
    other.cancel([number], pending_only=False)
    wait_until(lambda: engine.status([number])[number].phase is Phase.OVER)
    assert (tmp_path / "log").read_text().endswith("told\n")
    assert engine.status([], [submission.name]) == {}


def test_it_ends_with_its_walltime(engine: LocalEngine, tmp_path: Path) -> None:
    started = time.time()
    number = str(engine.submit(asked(tmp_path, *SLEEPS, walltime=3)))
    submitted = time.time()
    end = engine.status([number])[number].ends_at
    assert end is not None
    assert started + 2.99 <= end.timestamp() <= submitted + 3.01
    wait_until(lambda: engine.status([number])[number].phase is Phase.OVER)
    assert "told" in (tmp_path / "log").read_text()


def test_a_pilot_in_it_reads_its_share(engine: LocalEngine, tmp_path: Path) -> None:
    number = str(engine.submit(asked(tmp_path, "env", "-0")))
    wait_until(lambda: engine.status([number])[number].phase is Phase.OVER)
    entries = (tmp_path / "log").read_text().rstrip("\0").split("\0")
    env = dict(entry.partition("=")[::2] for entry in entries)
    here = inside.inside("local", env)
    assert (here.engine_id, here.restart, here.cpus, here.memory_bytes) == (number, 0, 2, 10**9)
    end = inside.ends_at("local", here, env)
    assert end is not None
    assert 0 < end.timestamp() - time.time() < 60
    assert inside.is_allocations("local", "ORCHESTRA_LOCAL_ID")


def test_what_this_machine_cannot_do(engine: LocalEngine, tmp_path: Path) -> None:
    several = Submission(uuid4(), PoolSpec(nodes=2), None, ("true",), str(tmp_path / "log"), 0)
    assert engine.submit(several) == Refusal("This machine is one node", is_fatal=True)
    nowhere = Submission(uuid4(), PoolSpec(), None, ("true",), str(tmp_path / "no" / "log"), 0)
    assert engine.submit(nowhere) == Refusal(f"{tmp_path}/no/log: No such file or directory")
    assert engine.status(["0123456789ab"])["0123456789ab"].phase is Phase.OVER
