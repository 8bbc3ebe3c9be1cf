"""A node works off tasks of all kinds: the real claims, and the pilot's decisions without processes.

It never starts more than it has room for, asks again when there is more room, and only then.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orchestra.domain.models.nodes import Device, FoundResources
from orchestra.domain.states import Queue, TaskState
from orchestra.pilot import allocator
from orchestra.pilot.claim import local_attempt
from orchestra.pilot.claim_policy import MAX_CLAIM, ClaimPolicy, to_claim
from orchestra.pilot.state import LocalAttempt, Phase, PilotState
from orchestra.services import work
from orchestra.store.driver.database import connect
from support.server import Server
from support.world import World

JOBS = 4
BOARDS = (Device("GPU-a", memory_bytes=40), Device("GPU-b", memory_bytes=80))
NODE = FoundResources(memory_bytes=16, scratch_bytes=8, devices=BOARDS)

ON_CPU: tuple[Mapping[str, Any], ...] = (
    {"cores": 1},
    {"cores": 3},
    {"cores": 8},
    {"memory_bytes": 5},
    {"cores": 2, "memory_bytes": 12, "scratch_bytes": 3},
    {"scratch_bytes": 8},
    {"exclusive": True},
)
ON_GPU: tuple[Mapping[str, Any], ...] = (
    {"gpus": 1},
    {"gpus": 2, "cpus_gpu_job": 4},
    {"gpu_milli": 400},
    {"gpu_milli": 700, "vram_bytes": 30, "memory_bytes": 6},
    {"gpus": 1, "vram_bytes": 60},
    {"gpus": 1, "exclusive": True},
)
KINDS = [{"queue": "cpu", **each} for each in ON_CPU] + [{"queue": "gpu", **e} for e in ON_GPU]


class Node:
    """A pilot that claims from the database, and starts and ends jobs as it is told."""

    def __init__(self, world: World) -> None:
        self.pilot = world.pilot()
        self.policy = ClaimPolicy()
        self.state = PilotState({Queue.CPU: 8, Queue.GPU: 2}, NODE)
        self.tasks: dict[Any, Any] = {}

    def claim(self) -> None:
        """Claim until there is nothing more to ask for."""
        for _ in range(12):
            asked = to_claim(self.state, self.policy)
            if asked is None:
                return
            pilot = self.pilot
            pilot.request += 1
            answer = work.claim(
                pilot.conn,
                pilot.agent,
                pilot.keeper,
                pilot.request,
                asked.room,
                self.tasks.keys(),
                queues=asked.queues,
                offered=allocator.offered(self.state),
                at_most=MAX_CLAIM,
                after=self.policy.cursors,
            )
            self.tasks.update(answer.tasks)
            granted = [
                local_attempt(grant, self.tasks[grant.of_revision], pilot.keeper)
                for grant in answer.grants
            ]
            for attempt in granted:
                self.state.add(attempt)
            self.policy.record_claim(asked, granted, answer)
        raise AssertionError("it claims again and again")

    def start(self) -> list[LocalAttempt]:
        """Start what fits, which is all that was claimed."""
        for attempt, devices in allocator.startable(self.state):
            attempt.phase, attempt.note = Phase.RUNNING, replace(attempt.note, devices=devices)
        assert self.state.waiting() == []
        running = self.state.with_slots()
        requests = [attempt.note.request for attempt in running]
        assert sum(request.cpus for request in requests) <= 8
        assert sum(request.memory_bytes for request in requests) <= 16
        assert sum(request.scratch_bytes for request in requests) <= 8
        assert sum(request.gpu_milli or 1000 * request.gpus for request in requests) <= 2000
        assert len(requests) == 1 or not any(request.exclusive for request in requests)
        return running

    def end(self, attempt: LocalAttempt) -> None:
        self.pilot.end(cast(Any, attempt.grant))
        self.state.drop(attempt.key)


@pytest.fixture(scope="module")
def conn(database_server: Server) -> Iterator[psycopg.Connection]:
    with (
        database_server.clone(f"room_{secrets.token_hex(4)}") as url,
        connect(url) as found,
    ):
        yield found


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    ends=st.lists(st.integers(0, 7), min_size=1, max_size=8),
)
@example(kinds=KINDS, ends=[0])
@example(kinds=KINDS[::-1], ends=[3, 0, 1])
def test_a_node_works_off_all_that_fits_on_it(
    conn: psycopg.Connection, kinds: list[dict[str, Any]], ends: list[int]
) -> None:
    conn.execute(
        "truncate job, attempt, event, task_count, task, task_input, node, pilot, keeper, person cascade"
    )
    world = World(conn)
    tasks = [
        world.task(jobs=JOBS, name=f"user.ana.t{n}", test_jobs=0, **kind)
        for n, kind in enumerate(kinds)
    ]
    world.conduct(2)
    node, ended = Node(world), 0
    while True:
        node.claim()
        running = node.start()
        if not running:
            break
        node.end(running[ends[ended % len(ends)] % len(running)])
        ended += 1
    assert ended == JOBS * len(tasks)
    world.conduct(2)
    assert all(world.state(task) is TaskState.DONE for task in tasks)
