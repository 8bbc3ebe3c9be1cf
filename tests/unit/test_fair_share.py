"""How much each user uses, in CPU slots, and has used lately."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.fair_share import (
    HALF_LIFE,
    LONGEST_STEP,
    Load,
    Rates,
    Share,
    Size,
    used_lately,
)
from orchestra.domain.resources import Request

GB = 10**9
LAB = Rates.of([Size(64, 0, 256 * GB), Size(32, 8, 128 * GB), Size(16, 0, None)])


def test_rates_are_those_of_the_nodes() -> None:
    assert Rates(memory_a_cpu=4 * GB, cpus_a_gpu=4.0, cpus_a_node=112 / 3) == LAB
    assert Rates.of([]) == Rates()
    assert Rates.of([Size(0, 2)]) == Rates(None, 1.0, 1.0), "a GPU is worth a CPU slot at least"


@pytest.mark.parametrize(
    ("request_", "jobs", "cost"),
    [
        (Request(cpus=2), 3, 6.0),
        (Request(cpus=1, memory_bytes=16 * GB), 2, 8.0),
        (Request(gpus=2), 1, 8.0),
        (Request(gpu_milli=500), 4, 8.0),
        (Request(cpus=1, exclusive=True), 3, 112.0),
        (Request(), 0, 0.0),
    ],
)
def test_a_job_costs_the_largest_of_what_it_takes(
    request_: Request, jobs: int, cost: float
) -> None:
    assert LAB.cost(Load.of(request_, jobs)) == pytest.approx(cost)


def test_memory_costs_nothing_where_it_is_unknown() -> None:
    assert Rates().cost(Load.of(Request(cpus=1, memory_bytes=64 * GB))) == 1.0


def test_recent_use_is_halved_in_a_day() -> None:
    steps = int(HALF_LIFE / LONGEST_STEP)
    lately = 100.0
    for _ in range(steps):
        lately = used_lately(lately, 0.0, LONGEST_STEP)
    assert lately == pytest.approx(50.0)
    for _ in range(20 * steps):
        lately = used_lately(lately, 8.0, LONGEST_STEP)
    assert lately == pytest.approx(8.0, abs=0.01), "who uses 8 slots for long has used 8 lately"


@given(
    lately=st.floats(0, 1e6),
    in_use=st.floats(0, 1e6),
    first=st.floats(0, 150),
    then=st.floats(0, 150),
)
def test_it_does_not_matter_how_often_one_looks(
    lately: float, in_use: float, first: float, then: float
) -> None:
    at_once = used_lately(lately, in_use, first + then)
    assert used_lately(used_lately(lately, in_use, first), in_use, then) == pytest.approx(at_once)


def test_clocks_and_stopped_clusters() -> None:
    assert used_lately(5.0, 9.0, -3600.0) == 5.0, "a clock that was set back"
    stopped = used_lately(100.0, 64.0, 2 * HALF_LIFE)
    assert 25.0 < stopped < 25.2, "two days without a conductor are not counted as 64 slots in use"


def test_who_has_more_shares_may_use_more() -> None:
    assert Share(in_use=6, lately=2).score == 8
    assert Share(in_use=6, lately=2, shares=4).score == 2


def shares_after(hours: int) -> int:
    """The slots of 100 that a user has who comes so many hours after another one who had all for 48 hours.

    Each minute, one of the jobs ends, and the slot goes to whose score is lower.
    """
    chance, lately, in_use = Random(1), [75.0, 0.0], [100, 0]
    for _ in range(hours * 60):
        in_use[chance.choices((0, 1), in_use)[0]] -= 1
        scores = [Share(use, past).score for use, past in zip(in_use, lately, strict=True)]
        in_use[scores.index(min(scores))] += 1
        lately = [used_lately(past, use, 60.0) for use, past in zip(in_use, lately, strict=True)]
    return in_use[1]


def test_who_comes_later_catches_up_and_then_they_are_equal() -> None:
    """With a weight of 1 for recent use, as measured for the design: 69, 59 and 52 of 100 slots."""
    found = [shares_after(hours) for hours in (12, 24, 48)]
    assert found == pytest.approx([69, 59, 52], abs=3)
