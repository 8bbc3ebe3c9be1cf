"""A short ordeal of a pool on a real Slurm; `make ordeal POOLS=yes` runs more."""

from __future__ import annotations

import pytest

from ordeal.pool_plan import plan
from ordeal.pool_trial import PoolOrdeal
from ordeal.seeds import POOLS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.needs("slurm")]


@pytest.mark.parametrize("seed", POOLS)
def test_nothing_is_lost_whatever_slurm_does(seed: int) -> None:
    verdict = PoolOrdeal(plan(seed, 20.0)).run()
    assert not verdict.violations, verdict
