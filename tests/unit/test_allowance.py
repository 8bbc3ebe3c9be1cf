"""What limits allow."""

from __future__ import annotations

from sys import maxsize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.allowance import Allowance
from orchestra.domain.resources import Request
from orchestra.domain.states import Queue

AMOUNT = st.none() | st.integers(-3, 20)
ALLOWANCES = st.builds(
    Allowance,
    cpus=AMOUNT,
    gpu_milli=st.none() | st.integers(-500, 5000),
    memory_bytes=AMOUNT,
    jobs=AMOUNT,
)
REQUESTS = st.builds(
    Request, cpus=st.integers(0, 4), gpus=st.integers(0, 2), memory_bytes=st.integers(0, 4)
) | st.builds(Request, gpu_milli=st.integers(1, 999), memory_bytes=st.integers(0, 4))


@given(ALLOWANCES, REQUESTS)
def test_it_allows_as_many_jobs_as_one_by_one(allowance: Allowance, request: Request) -> None:
    count = allowance.count(request)
    if count == maxsize:
        assert allowance.after(request, 1000).count(request) == maxsize
        return
    assert allowance.after(request, count).count(request) == 0
    assert not count or allowance.after(request, count - 1).count(request) == 1


@pytest.mark.parametrize(
    ("allowance", "queues"),
    [
        (Allowance(), set()),
        (Allowance(cpus=0), {Queue.CPU}),
        (Allowance(gpu_milli=-500), {Queue.GPU}),
        (Allowance(cpus=3, jobs=0), {Queue.CPU, Queue.GPU}),
    ],
)
def test_whether_no_job_of_a_queue_is_allowed(allowance: Allowance, queues: set[Queue]) -> None:
    assert {queue for queue in Queue if allowance.is_used_up(queue)} == queues
