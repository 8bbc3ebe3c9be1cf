"""Short ordeals with fixed seeds; `make ordeal` runs more."""

from __future__ import annotations

import pytest

from ordeal.schedule import plan
from ordeal.seeds import MISHAPS, SHORT, UNRELIABLE_NETWORK
from ordeal.trial import Ordeal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.mark.parametrize(("seed", "seconds", "restore"), SHORT)
def test_nothing_is_lost_and_nothing_runs_twice(
    seed: int, seconds: float, restore: bool | None
) -> None:
    verdict = Ordeal(plan(seed, seconds, restore=restore)).run()
    assert not verdict.violations, verdict


def test_unreliable_network_breaks_nothing() -> None:
    seed, seconds = UNRELIABLE_NETWORK
    verdict = Ordeal(plan(seed, seconds, mishaps=MISHAPS)).run()
    assert not verdict.violations, verdict
    assert verdict.facts.mishaps.total() > 8


def test_without_faults_every_job_runs_as_planned() -> None:
    verdict = Ordeal(plan(4, 5.0, calm=True)).run()
    assert not verdict.violations, verdict
    assert not any(row.lost for row in verdict.facts.attempts)
