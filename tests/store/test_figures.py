"""Figures for a monitoring system."""

from __future__ import annotations

from orchestra.domain.states import Queue
from orchestra.services.database import figures
from support.world import World


def test_the_figures_of_a_cluster(world: World) -> None:
    before = figures.read(world.conn)
    assert before.queues[Queue.GPU].jobs["assigned"] == 0
    assert not before.conductor_alive
    world.task(jobs=4, test_jobs=0)
    world.conduct(rounds=2)
    pilot = world.pilot()
    first, second, *_ = pilot.claim(cpu=3)
    pilot.start(first, second)
    pilot.end(first, status=3)
    found = figures.read(world.conn)
    cpu = found.queues[Queue.CPU]
    assert cpu.tasks == 1
    assert sum(cpu.jobs.values()) == 4
    assert cpu.jobs["failed"] + cpu.jobs["assigned"] >= 2
    assert (found.nodes, found.nodes_online) == (1, 1)
    assert cpu.slots > 0
    assert {cause: end.attempts for cause, end in found.ends.items()} == {"exit": 1}
    assert found.ends["exit"].started == 1
    assert found.ends["exit"].waited >= 0
