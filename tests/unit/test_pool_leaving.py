"""An allocation that is to end goes on ending, whatever the engine says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from orchestra.domain.models.pools import Allocation, AllocationState, EngineReport, Phase
from orchestra.domain.pools import life
from orchestra.domain.pools.life import Answers, Pilots

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LEAVING = Allocation(UUID(int=1), "p", "17", AllocationState.LEAVING, NOW, cancelled_at=NOW)
SILENT = Pilots(came=1, there=1, silent_for=100.0)
UNKNOWN = Answers(misses=life.MISSES)


@pytest.mark.parametrize("pilots", [Pilots(), SILENT])
@pytest.mark.parametrize("phase", [None, Phase.WAITING, Phase.RUNNING, Phase.ENDING, Phase.UNCLEAR])
def test_one_that_leaves_goes_on_leaving(phase: Phase | None, pilots: Pilots) -> None:
    report = Answers(EngineReport("17", LEAVING.name, phase, "WORD")) if phase else UNKNOWN
    deleted = life.after(LEAVING, report, pilots, NOW, ends_running=True)
    assert deleted.state is AllocationState.LEAVING
    idle = life.after(replace(LEAVING, cancelled_at=None), report, pilots, NOW)
    assert idle.state is AllocationState.LEAVING
