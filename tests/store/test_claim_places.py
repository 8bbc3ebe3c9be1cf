"""Which nodes tasks may use: a claim leaves those that its node's labels refuse to others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestra.domain.models.placement import Placement
from orchestra.domain.resources import Room
from orchestra.services import work
from orchestra.services.work import admissions
from orchestra.store.tasks import placements
from support.ranked import ranked_tasks
from support.world import Pilot, World


@dataclass
class Claimant:
    """A pilot that remembers placements, as an agent does."""

    pilot: Pilot
    known: work.Admissions = field(default_factory=work.Admissions)

    def tasks(self, cpus: int = 8) -> list[int]:
        pilot = self.pilot
        pilot.request += 1
        answer = work.claim(
            pilot.conn, pilot.agent, pilot.keeper, pilot.request, Room(cpus), admissions=self.known
        )
        return [grant.key.task_id for grant in answer.grants]


def placed(world: World, constraint: str = "", **where: Any) -> int:
    place = placements.intern(world.conn, Placement(constraint, **where))
    (task,) = ranked_tasks(world, 1, name=f"p{place}", jobs=4, placement_id=place)
    return task


def label(world: World, node: str, labels: str) -> None:
    world.conn.execute("update node set labels = %s::jsonb where name = %s", [labels, node])


def test_a_claim_leaves_tasks_to_the_nodes_that_they_may_use(world: World) -> None:
    gauss, euler = Claimant(world.pilot("gauss")), Claimant(world.pilot("euler"))
    label(world, "gauss", '{"rack": "3"}')
    rack = placed(world, "rack=3")
    here, not_here = placed(world, nodes=("euler",)), placed(world, not_nodes=("euler",))
    (anywhere,) = ranked_tasks(world, 1, jobs=4)
    assert set(gauss.tasks(16)) == {rack, not_here, anywhere}
    assert set(euler.tasks(16)) == {here}
    assert (len(euler.known.admitted), len(euler.known.refused)) == (1, 2)


def test_a_claim_sees_new_labels_and_placements_at_once(world: World) -> None:
    gauss = Claimant(world.pilot("gauss"))
    fast = placed(world, "ssd")
    assert gauss.tasks() == []
    label(world, "gauss", '{"ssd": "yes"}')
    assert gauss.tasks(1) == [fast]
    world.conn.execute("update node set cpu_enabled = 4 where name = 'gauss'")
    wide = placed(world, "cpus<=4")
    world.conn.execute("update task set rank = -1 where id = %s", [wide])
    assert gauss.tasks(1) == [wide]
    label(world, "gauss", "{}")
    assert set(gauss.tasks()) == {wide}


def test_refused_placements_use_up_no_pages_once_they_are_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauss = Claimant(world.pilot("gauss"))
    place = placements.intern(world.conn, Placement("ssd"))
    ranked_tasks(world, 40, name="elsewhere", placement_id=place)
    (here,) = ranked_tasks(world, 1, jobs=2)
    assert gauss.tasks(1) == [here]
    monkeypatch.setattr("orchestra.services.work.queue_claim.TASKS_AT_MOST", 1)
    assert gauss.tasks(1) == [here]


def test_an_agent_forgets_placements_when_there_are_too_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admissions, "MOST", 0)
    gauss, fast = Claimant(world.pilot("gauss")), placed(world, not_nodes=("euler",))
    assert [gauss.tasks(1), gauss.tasks(1)] == [[fast], [fast]]
