"""How long a pool submits nothing after refusals and early ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from orchestra.domain.models.pools import Allocation, AllocationState, BackOff
from orchestra.domain.pools import back_off

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
ENDED = Allocation(UUID(int=1), "p", "17", AllocationState.ENDED, NOW)


def _seconds(of: BackOff, now: datetime = NOW) -> float:
    assert of.not_before
    return (of.not_before - now).total_seconds()


def test_each_refusal_doubles_the_delay_up_to_an_hour() -> None:
    now, after, delays = NOW, BackOff(), []
    for number in range(1, 10):
        after = back_off.refused(after, now, f"refusal {number}")
        delays.append(_seconds(after, now))
        now = after.not_before or now
    assert delays == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert (after.refusals, after.trouble) == (9, "refusal 9")
    assert _seconds(back_off.refused(BackOff(refusals=10**6), NOW, "still")) == 3600


def test_each_early_end_doubles_the_delay_up_to_an_hour() -> None:
    now, after, delays = NOW, BackOff(), []
    for _ in range(8):
        after = back_off.early_end(after, now, "NODE_FAIL")
        delays.append(_seconds(after, now))
        now = after.not_before or now
    assert delays == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert (after.early_ends, after.trouble) == (8, "NODE_FAIL")


def test_early_ends_of_one_cause_count_once() -> None:
    after = back_off.early_end(BackOff(), NOW, "FAILED")
    again = back_off.early_end(after, NOW + timedelta(seconds=59), "NODE_FAIL")
    assert again == replace(after, trouble="NODE_FAIL")
    assert back_off.early_end(after, NOW + timedelta(seconds=60), "FAILED").early_ends == 2


def test_an_early_end_counts_while_refusals_delay_the_next_submission() -> None:
    refused = back_off.refused(BackOff(), NOW, "no")
    assert back_off.early_end(refused, NOW, "FAILED").early_ends == 1


def test_a_short_delay_never_cuts_a_longer_one() -> None:
    long = BackOff(early_ends=5, not_before=NOW + timedelta(minutes=16))
    assert _seconds(back_off.refused(long, NOW, "no")) == 960


def test_an_accepted_submission_ends_the_refusals() -> None:
    refused = back_off.refused(BackOff(), NOW, "no")
    assert back_off.accepted(refused) == BackOff()
    early = back_off.early_end(BackOff(), NOW, "FAILED")
    assert back_off.accepted(back_off.refused(early, NOW, "no")) == replace(early, trouble="no")


def test_a_first_job_ends_everything_but_refusals() -> None:
    early = back_off.early_end(
        back_off.early_end(BackOff(), NOW, "x"), NOW + timedelta(hours=1), "x"
    )
    assert back_off.first_job(early) == BackOff()
    refused = back_off.refused(early, NOW, "no")
    assert back_off.first_job(refused) == replace(refused, early_ends=0)


@pytest.mark.parametrize(
    ("ended", "has_work", "early"),
    [
        (ENDED, True, True),
        (ENDED, False, False),
        (replace(ENDED, first_job_at=NOW), True, False),
        (replace(ENDED, cancelled_at=NOW), True, False),
    ],
)
def test_only_an_end_that_nobody_asked_for_is_early(
    ended: Allocation, has_work: bool, early: bool
) -> None:
    assert back_off.is_early(ended, has_work=has_work) is early
