"""Several nodes share the jobs of one task: a simulation of `prefetch.py` in small steps of time, without processes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestra.pilot import prefetch
from orchestra.pilot.prefetch import MAX_WAIT, QUICK_SECONDS, Pace, Waiting

STEP = 0.05
MAX_CLAIM = 64


@dataclass
class Node:
    """Slots, running jobs (start, duration) and waiting jobs (since when, duration)."""

    slots: int
    running: list[tuple[float, float]] = field(default_factory=list)
    waiting: deque[tuple[float, float]] = field(default_factory=deque)
    pace: Pace | None = None

    @property
    def free(self) -> int:
        return self.slots - len(self.running)

    def quick(self, now: float) -> int:
        return self.slots - sum(now >= began + QUICK_SECONDS for began, _ in self.running)

    def step(self, now: float, queue: deque[float]) -> None:
        """Run one round of an agent: take in what has ended, release, claim, start."""
        for began, seconds in [job for job in self.running if sum(job) <= now]:
            self.running.remove((began, seconds))
            self.pace = prefetch.updated_pace(self.pace, seconds)
        paces = {0: self.pace} if self.pace else {}
        starting, quick = self.free, self.quick(now)
        waiting = [Waiting(0, quick, now - since) for since, _ in self.waiting]
        released = prefetch.to_release(waiting[starting:], paces)
        for index in reversed(released):
            queue.appendleft(self.waiting[starting + index][1])
            del self.waiting[starting + index]
        if self.pace and released:
            self.pace = prefetch.capped_pace(self.pace, len(self.waiting))
        wanted = prefetch.prefetch_count(self.pace, self.quick(now))
        more = wanted - len(self.waiting) if len(self.waiting) * 2 <= wanted else 0
        claimed = min(MAX_CLAIM, max(self.free - len(self.waiting), more), len(queue))
        self.waiting.extend((now, queue.popleft()) for _ in range(claimed))
        while self.waiting and self.free:
            self.running.append((now, self.waiting.popleft()[1]))


def share(durations: list[float], nodes: list[Node]) -> tuple[float, float]:
    """Run all jobs; return the duration, and how long at a time a node was idle while another one had waiting jobs."""
    queue, now, idle, longest = deque(durations), 0.0, 0.0, 0.0
    while queue or any(node.running or node.waiting for node in nodes):
        for node in nodes:
            node.step(now, queue)
        is_unfair = any(node.free and not node.waiting for node in nodes) and any(
            node.waiting for node in nodes
        )
        idle = idle + STEP if is_unfair else 0.0
        longest = max(longest, idle)
        now += STEP
    return now, longest


DURATIONS = st.lists(
    st.one_of(st.floats(0.0, 0.1), st.floats(0.0, 2.0), st.floats(3.0, 20.0)),
    min_size=1,
    max_size=60,
)


@given(durations=DURATIONS, nodes=st.lists(st.integers(1, 4), min_size=2, max_size=4))
@example(durations=[0.0, 0.0, 4.0, 0.0, 0.0], nodes=[1, 1])
@settings(max_examples=200, deadline=None)
def test_no_node_is_idle_for_long_while_another_one_has_waiting_jobs(
    durations: list[float], nodes: list[int]
) -> None:
    """At most twice `MAX_WAIT`: the node that claims a released job may keep it waiting for as long again."""
    _, idle = share(durations, [Node(slots) for slots in nodes])
    assert idle <= 2 * MAX_WAIT + 2 * STEP


@pytest.mark.parametrize("instant", [2, 12, 100])
def test_long_jobs_behind_instant_ones_are_shared_within_a_moment(instant: int) -> None:
    nodes = [Node(2), Node(2)]
    seconds, idle = share([0.0] * instant + [4.0] * 19, nodes)
    assert idle <= QUICK_SECONDS + STEP
    assert seconds < 19 * 4.0 / 4 + 4.0 + 2 * QUICK_SECONDS
