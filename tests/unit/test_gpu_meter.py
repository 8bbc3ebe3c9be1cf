"""For how long GPUs computed for each attempt."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.gpu_usage import Activity, busy_seconds
from orchestra.domain.gpus import Sample
from orchestra.domain.models.nodes import Device, FoundResources
from orchestra.domain.models.work import AttemptKey
from orchestra.domain.resources import Request
from orchestra.domain.states import Queue
from orchestra.pilot.gpu_meter import GpuMeter
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState

WHOLE, HALF = Request(gpus=1), Request(gpu_milli=500)


def every_second(since: int, until: int, percent: float) -> list[Sample]:
    return [Sample(at, percent) for at in range(since + 1, until + 1)]


@given(
    st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 100)), min_size=2, max_size=20),
    st.lists(st.integers(0, 20), max_size=4),
    st.lists(st.floats(0, 100), max_size=4),
)
def test_looks_and_attempts_in_a_row_divide_what_the_gpu_computed(
    steps: list[tuple[float, int]], looks: list[int], ends: list[float]
) -> None:
    at, samples = 0.0, [Sample(0.0, 0)]
    for seconds, percent in steps:
        at += seconds
        samples.append(Sample(at, percent))
    activity, periods = Activity(), []
    for first, last in pairwise([0, *sorted(looks), len(samples)]):
        periods += activity.note(samples[first:last])
        assert activity.note(samples[:last]) == [], "what is known already"
    whole = busy_seconds(periods, 0, at)
    assert whole == pytest.approx(sum(s * percent / 100 for s, percent in steps))
    moments = [0.0, *sorted(min(end, at) for end in ends), at]
    parts = sum(busy_seconds(periods, since, until) for since, until in pairwise(moments))
    assert parts == pytest.approx(whole)


class Node:
    """A node with two GPUs, and what was measured of its attempts."""

    def __init__(
        self, folder: Path, boot: str = "this boot", state: PilotState | None = None
    ) -> None:
        self.state = state or PilotState(found=FoundResources(devices=(Device("A"), Device("B"))))
        self.meter = GpuMeter(folder / "gpus.json", self.state, boot)
        self.meter.is_active = True
        self.measured: list[float | None] = []

    def run(self, request: Request, devices: str, since: float) -> LocalAttempt:
        key = AttemptKey(1, len(self.state.attempts), 1, uuid4())
        note = Note(Queue.GPU, request, "/t", 1, None, None, None, 30.0, devices)
        attempt = LocalAttempt(key, uuid4(), note, Phase.RUNNING, started_at=since)
        self.state.add(attempt)
        return attempt

    def end(self, attempt: LocalAttempt, at: float) -> None:
        attempt.phase = Phase.FINALIZING
        self.meter.end(attempt, at - (attempt.started_at or 0), at, self.measured.append)


def test_each_attempt_gets_its_part_of_its_time(tmp_path: Path) -> None:
    node = Node(tmp_path)
    alone = node.run(WHOLE, "A", 100)
    shared = node.run(HALF, "B", 104)
    node.meter.note(110, {"A": every_second(99, 110, 50), "B": every_second(99, 110, 100)})
    node.end(shared, 114)
    assert node.meter.is_waiting
    node.meter.note(115, {"A": every_second(110, 115, 10), "B": every_second(110, 115, 100)})
    assert node.measured == [pytest.approx(10 * 0.5)]
    node.end(alone, 115.5)  # just looked at: it went on as it was
    assert node.measured[1] == pytest.approx(5.0 + 0.5 + 0.05)
    both = node.run(WHOLE, "A,B", 116)
    node.meter.note(120, {"A": every_second(115, 120, 100), "B": every_second(115, 120, 100)})
    node.end(both, 120)
    assert node.measured[2] == pytest.approx(8.0)


def test_a_job_shorter_than_the_time_between_looks_is_measured(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.meter.note(100, {"A": every_second(90, 100, 0)})
    quick = node.run(WHOLE, "A", 103)
    node.end(quick, 105)
    busy = [*every_second(100, 103, 0), *every_second(103, 105, 80), *every_second(105, 106, 0)]
    node.meter.note(104, {"A": busy})
    assert node.measured == [], "this look may have begun before its end"
    node.meter.note(106, {"A": busy})
    assert node.measured == [pytest.approx(1.6)]


def test_what_is_not_measured_is_unknown(tmp_path: Path) -> None:
    node = Node(tmp_path)
    divided = node.run(WHOLE, "A", 100)
    node.meter.note(110, {"A": []})
    node.end(divided, 112)
    node.meter.give_up()
    node.meter.is_active = False
    node.end(node.run(WHOLE, "A", 100), 112)
    assert node.measured == [None, None]


def test_the_next_agent_continues(tmp_path: Path) -> None:
    first = Node(tmp_path)
    attempt = first.run(WHOLE, "A", 100)
    first.meter.note(110, {"A": every_second(99, 110, 100)})
    second = Node(tmp_path, state=first.state)
    second.end(attempt, 112)
    second.meter.note(113, {"A": every_second(105, 113, 50)})
    assert second.measured == [pytest.approx(10 + 1)]
    after_reboot = Node(tmp_path, "another boot", first.state)
    after_reboot.end(after_reboot.run(WHOLE, "A", 1), 3)
    after_reboot.meter.note(4, {"A": every_second(0, 4, 100)})
    assert after_reboot.measured == [pytest.approx(2)]
    (tmp_path / "gpus.json").write_text('{"boot": 3')
    assert Node(tmp_path).meter.is_waiting is False
