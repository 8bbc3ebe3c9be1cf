"""Which node keeps its slots free for a job that fits nowhere."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.reservation import Busy, ready_in, takes_over

JOBS = st.lists(
    st.builds(
        Busy,
        st.integers(1, 4),
        st.floats(0, 1e6),
        st.none() | st.floats(0, 1e6),
    ),
    max_size=8,
)


@pytest.mark.parametrize(
    ("job", "left"),
    [
        (Busy(1, 10.0, 60.0), 50.0),
        (Busy(1, 90.0, 60.0), 90.0),  # as long again
        (Busy(1, 10.0), inf),
    ],
)
def test_what_a_job_may_take_still(job: Busy, left: float) -> None:
    assert job.seconds_left == left


def test_slots_are_there_when_the_jobs_that_end_first_have_left_enough() -> None:
    jobs = [Busy(1, 0.0, 30.0), Busy(2, 0.0, 10.0), Busy(1, 0.0)]
    assert [ready_in(missing, jobs) for missing in (0, 1, 2, 3, 4, 5)] == [
        0.0,
        10.0,
        10.0,
        30.0,
        inf,
        inf,
    ]


@given(jobs=JOBS, missing=st.integers(0, 12))
def test_more_slots_are_never_there_sooner(jobs: list[Busy], missing: int) -> None:
    assert ready_in(missing, jobs) <= ready_in(missing + 1, jobs)
    assert (ready_in(missing, jobs) == inf) or sum(job.slots for job in jobs) >= missing


@given(expected=st.lists(st.floats(0.001, 1e6), min_size=2, max_size=200))
def test_a_job_is_not_passed_on_for_ever(expected: list[float]) -> None:
    """However the nodes' expectations change: each time they have to be half of what was enough before."""
    held, passed_on = expected[0], 0
    for seconds in expected[1:]:
        if takes_over(seconds, held, passed_on):
            assert seconds < held / 2
            held, passed_on = seconds, passed_on + 1
        else:
            held = 1e6  # what the node runs takes longer than it was said to take
    assert passed_on <= 30


def test_who_does_not_know_takes_nothing_over() -> None:
    assert not takes_over(inf, inf, 0)
    assert not takes_over(inf, 10.0, 0)
    assert takes_over(10.0, inf, 5)
