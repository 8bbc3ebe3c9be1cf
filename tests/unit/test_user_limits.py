"""Limits of users: their words, and which one keeps a job from starting."""

from __future__ import annotations

import pytest

from orchestra.domain.errors import BadInput
from orchestra.domain.fair_share import Load
from orchestra.domain.models.users import NO_LIMITS, NewLimits, UserLimit, UserLimits
from orchestra.domain.resources import Request
from orchestra.domain.user_limits import check_new, in_words, parse_gpus, reached, shares_in_words

LIMITS = UserLimits(cpus=40, gpu_milli=2500, running=10)


def test_limits_and_shares_in_words() -> None:
    assert in_words(LIMITS) == "40 CPU slots, 2.5 GPUs, 10 jobs"
    assert in_words(UserLimits(1, 1000, 1)) == "1 CPU slot, 1 GPU, 1 job"
    assert in_words(NO_LIMITS) == ""
    assert (shares_in_words(1.0), shares_in_words(2.5)) == ("1 share", "2.5 shares")


@pytest.mark.parametrize(
    ("taken", "request_", "limit"),
    [
        (Load(9, 39, 0), Request(cpus=1), None),
        (Load(9, 39, 0), Request(cpus=2), "40 CPU slots"),
        (Load(9, 60, 0), Request(gpus=1), None),  # which takes no CPU slot
        (Load(1, 0, 2000), Request(gpu_milli=500), None),
        (Load(1, 0, 2000), Request(gpus=1), "2.5 GPUs"),
        (Load(10), Request(), "10 jobs"),
    ],
)
def test_which_limit_keeps_a_job_from_starting(
    taken: Load, request_: Request, limit: str | None
) -> None:
    assert reached(LIMITS, taken, request_) == limit
    assert reached(NO_LIMITS, taken, request_) is None


def test_numbers_of_gpus() -> None:
    assert [parse_gpus(text) for text in ("4", "0.5", " 2.125", "0")] == [4000, 500, 2125, 0]
    for wrong in ("", "-1", "many", "0.1234", "1e3", "1,5"):
        with pytest.raises(BadInput, match="is not a number of GPUs"):
            parse_gpus(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        NewLimits(),
        NewLimits(cpus=-1),
        NewLimits(running=2**40),
        NewLimits(cpus=1, removed=(UserLimit.CPUS,)),
        NewLimits(shares=0.0),
        NewLimits(shares=float("nan")),
        NewLimits(shares=float("inf")),
    ],
)
def test_what_cannot_be_a_limit(wrong: NewLimits) -> None:
    with pytest.raises(BadInput):
        check_new(wrong)
