"""Fixtures for tests of the store and the services on a real database."""

from __future__ import annotations

import pytest

from orchestra.domain.caller import Caller
from support.people import caller
from support.world import World


@pytest.fixture
def running(world: World) -> int:
    """A task of 5 jobs that bypassed its test."""
    task = world.task(jobs=5, test_jobs=0)
    world.conduct(rounds=2)
    return task


@pytest.fixture
def ana(world: World) -> Caller:
    """A user."""
    world.person("ana")
    return caller(world.conn)
