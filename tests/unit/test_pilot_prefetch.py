"""Several nodes share the jobs of one task: time in small steps, the rule of `prefetch.py`, and no processes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestra.pilot import prefetch
from orchestra.pilot.prefetch import MAX_WAIT, QUICK_SECONDS, Pace, Waiting

STEP = 0.05
AT_ONCE = 64
"""Jobs in one claim."""


@dataclass
class Node:
    """Slots, the jobs that run (when they began, what they take) and those that are held (since when, ...)."""

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
        """What an agent does in a round: take in what has ended, hand back, ask, start."""
        for began, seconds in [job for job in self.running if sum(job) <= now]:
            self.running.remove((began, seconds))
            self.pace = prefetch.updated_pace(self.pace, seconds)
        paces = {0: self.pace} if self.pace else {}
        line = [Waiting(0, 1, now - since) for since, _ in self.waiting]
        back = prefetch.to_release(line, self.free, self.quick(now), paces)
        for place in reversed(back):
            queue.appendleft(self.waiting[place][1])
            del self.waiting[place]
        if self.pace and back:
            self.pace = prefetch.capped_pace(self.pace, len(self.waiting))
        prefetch_slots = prefetch.prefetch_count(self.pace, self.quick(now))
        more = prefetch_slots - len(self.waiting) if len(self.waiting) * 2 <= prefetch_slots else 0
        wanted = min(AT_ONCE, max(self.free - len(self.waiting), more), len(queue))
        self.waiting.extend((now, queue.popleft()) for _ in range(wanted))
        while self.waiting and self.free:
            self.running.append((now, self.waiting.popleft()[1]))


def share(durations: list[float], nodes: list[Node]) -> tuple[float, float]:
    """Run all jobs; gives the seconds that takes, and for how long at a time a node idled while another held jobs."""
    queue, now, idle, longest = deque(durations), 0.0, 0.0, 0.0
    while queue or any(node.running or node.waiting for node in nodes):
        for node in nodes:
            node.step(now, queue)
        hoards = any(node.free and not node.waiting for node in nodes) and any(
            node.waiting for node in nodes
        )
        idle = idle + STEP if hoards else 0.0
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
def test_no_node_idles_for_long_while_another_one_holds_jobs(
    durations: list[float], nodes: list[int]
) -> None:
    """Twice the patience, for what one hands back another one may hold for as long again."""
    _, idle = share(durations, [Node(slots) for slots in nodes])
    assert idle <= 2 * MAX_WAIT + 2 * STEP


@pytest.mark.parametrize("instant", [2, 12, 100])
def test_long_jobs_behind_instant_ones_are_shared_within_a_moment(instant: int) -> None:
    nodes = [Node(2), Node(2)]
    seconds, idle = share([0.0] * instant + [4.0] * 19, nodes)
    assert idle <= QUICK_SECONDS + STEP
    assert seconds < 19 * 4.0 / 4 + 4.0 + 2 * QUICK_SECONDS
