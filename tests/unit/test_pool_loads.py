"""Which nodes take the jobs that wait for a pool, when they are free, and what follows for its decision."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import inf

import pytest

from orchestra.domain.models.pools import PoolLimits, ServingRoom, Situation
from orchestra.domain.node_timeline import Host, Running, seconds_left
from orchestra.domain.pools.decision import decide
from orchestra.domain.pools.loads import Server, Waiting, waiting
from orchestra.domain.pools.ready import Ready
from orchestra.domain.pools.shape import Shape
from orchestra.domain.resources import Request, Room

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ONE = Request(1)


def _task(
    number: int,
    jobs: int,
    typical: float | None = None,
    request: Request = ONE,
    seconds: float | None = None,
) -> Ready:
    return Ready(number, 1, "ana", None, request, jobs, seconds, typical)


def _node(
    number: int, *running: Running, cpus: int = 1, kept_for: int | None = None, ends_in: float = inf
) -> Server:
    return Server(Host(number, Room(cpus, seconds_left=ends_in), running), kept_for)


def _waiting(
    tasks: Sequence[Ready],
    nodes: Sequence[Server],
    only: dict[int, set[int]] | None = None,
    cpus: int = 1,
) -> Waiting:
    everywhere = {node.host.id for node in nodes}
    served = {task.task: frozenset((only or {}).get(task.task, everywhere)) for task in tasks}
    return waiting(tasks, nodes, served, Shape(Room(cpus)), {}, horizon=240.0)


def _submits(found: Waiting) -> int:
    return decide(Situation(NOW, PoolLimits(), found.loads, serving=found.serving)).submit


def test_a_running_job_of_which_nothing_is_known_lasts_as_long_again() -> None:
    young = Running(ONE, seconds_left(1.0), seconds_left(1.0, unknown=1.0))
    tasks = [_task(1, 3, typical=1.0)]
    found = _waiting(tasks, [_node(1, young), _node(2, young)])
    assert [room.free_in for room in found.serving] == [1.0, 1.0]
    assert _submits(found) == 0
    old = Running(ONE, inf, 3600.0)
    found = _waiting(tasks, [_node(1, old), _node(2, old)])
    assert [room.free_in for room in found.serving] == [240.0, 240.0]
    assert _submits(found) == 1


def test_jobs_that_start_at_once_keep_their_places_as_long_as_is_usual() -> None:
    nodes = [_node(1, cpus=2), _node(2, Running(ONE, 50.0), cpus=2)]
    found = _waiting([_task(1, 9, typical=20.0)], nodes, cpus=2)
    assert (found.loads[0].jobs, found.loads[0].fit) == (6, 2)
    assert [room.free_in for room in found.serving] == [20.0, 35.0]
    found = _waiting([_task(1, 9)], [_node(1, cpus=2)], cpus=2)
    assert [room.free_in for room in found.serving] == [0.0]


def test_a_node_takes_only_what_it_may_run() -> None:
    ours, theirs = _task(1, 5, 10.0), _task(2, 5, 10.0)
    wide = _task(3, 5, 10.0, request=Request(2))
    busy = Running(ONE, 10.0)
    nodes = [_node(1, busy), _node(2, busy, kept_for=2), _node(3, busy, cpus=2)]
    found = _waiting([ours, theirs, wide], nodes, {1: {1, 2, 3}, 2: {2}, 3: {1, 2, 3}}, cpus=2)
    assert [(room.tasks, room.size) for room in found.serving] == [
        (frozenset({1}), 0.5),
        (frozenset({2}), 0.5),
        (frozenset({1, 3}), 1.0),
    ]


def test_a_node_that_waits_for_the_first_task_takes_no_other() -> None:
    busy = Running(ONE, 10.0)
    found = _waiting([_task(1, 5, 10.0)], [_node(1, busy, kept_for=0)])
    assert found.serving == ()
    found = _waiting([_task(1, 5, 10.0)], [_node(1, kept_for=0)])
    assert found.loads[0].jobs == 5


@pytest.mark.parametrize(("ends_in", "takes"), [(59.0, False), (60.0, True)])
def test_a_node_takes_no_jobs_that_outlast_it(ends_in: float, takes: bool) -> None:
    node = _node(1, Running(ONE, 5.0), ends_in=ends_in)
    found = _waiting([_task(1, 5, 10.0, seconds=60.0)], [node])
    room = ServingRoom(1.0, frozenset({1}), 5.0, ends_in)
    assert found.serving == ((room,) if takes else ())
