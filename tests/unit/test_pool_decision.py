"""What a pool submits and withdraws."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any
from uuid import UUID

import pytest

from orchestra.domain.models.pools import (
    Allocation,
    AllocationState,
    BackOff,
    Load,
    PoolLimits,
    ServingRoom,
    Situation,
)
from orchestra.domain.pools.decision import decide

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LIMITS = PoolLimits(max_pilots=10, max_pending=4, min_work=120)
PENDING = AllocationState.PENDING
SERVING = AllocationState.SERVING
STARTING = AllocationState.STARTING
LEAVING = AllocationState.LEAVING
UNKNOWN = AllocationState.UNKNOWN
SUBMITTING = AllocationState.SUBMITTING


def _there(
    *states: AllocationState, first: int = 0, ends_in: float | None = None
) -> tuple[Allocation, ...]:
    """Return allocations in these states, each a minute younger than the one before."""
    return tuple(_one(first + number, state, ends_in) for number, state in enumerate(states))


def _one(number: int, state: AllocationState, ends_in: float | None) -> Allocation:
    serves = state is SERVING
    at = NOW - timedelta(minutes=10) + timedelta(seconds=number)
    return Allocation(
        UUID(int=number),
        "p",
        str(number),
        state,
        at,
        started_at=NOW - timedelta(hours=1) if serves else None,
        first_job_at=NOW - timedelta(hours=1) if serves else None,
        ends_at=None if ends_in is None else NOW + timedelta(seconds=ends_in),
        pilots=(f"p-{number}-h",) if serves else (),
        running=1 if serves else 0,
    )


def _situation(
    *loads: Load,
    there: Iterable[Allocation] = (),
    limits: PoolLimits = LIMITS,
    **more: Any,
) -> Situation:
    return replace(Situation(NOW, limits, loads, tuple(there)), **more)


def _rooms(*loads: Load, size: float = 1.0, **more: float) -> ServingRoom:
    return ServingRoom(size, frozenset(load.task for load in loads), **more)


def _serving(
    number: int, *loads: Load, ends_in: float = inf, free_in: float = 0.0, **more: Any
) -> Situation:
    """Return a situation in which so many allocations serve."""
    room = ServingRoom(1.0, frozenset(load.task for load in loads), free_in, ends_in)
    return _situation(*loads, there=_there(*[SERVING] * number), serving=(room,) * number, **more)


def _jobs(jobs: int, typical: float | None, fit: int = 1, task: int = 0) -> Load:
    return Load(task, jobs, fit, typical)


def test_nothing_is_submitted_without_work() -> None:
    decision = decide(_situation())
    assert (decision.submit, decision.withdraw, decision.need) == (0, (), 0)
    assert decision.why == "No job waits for a pilot."


def test_one_allocation_measures_jobs_that_nobody_has_measured() -> None:
    decision = decide(_situation(_jobs(10_000, None)))
    assert (decision.submit, decision.need) == (1, 1)
    assert (
        decision.why == "Submitted 1 allocation, to see how long the jobs take: 10,000 jobs wait."
    )
    pending = replace(_one(0, PENDING, None), submitted_at=NOW - timedelta(seconds=299))
    assert decide(_situation(_jobs(10_000, None), there=[pending])).submit == 0
    assert decide(_situation(_jobs(10_000, None), there=_there(STARTING))).submit == 0


def test_an_allocation_that_has_just_begun_measures_them() -> None:
    young = replace(_one(0, SERVING, None), first_job_at=NOW - timedelta(seconds=119))
    assert decide(_situation(_jobs(9, None), there=[young])).submit == 0
    old = replace(young, first_job_at=NOW - timedelta(seconds=120))
    assert decide(_situation(_jobs(9, None), there=[old])).submit == 1


def test_more_allocations_join_the_first_in_a_slow_queue() -> None:
    there = [replace(_one(0, PENDING, None), submitted_at=NOW - timedelta(seconds=599))]
    assert decide(_situation(_jobs(10, None, fit=4), there=there)).submit == 1
    there = [replace(_one(0, PENDING, None), submitted_at=NOW - timedelta(seconds=300))]
    assert decide(_situation(_jobs(10, None, fit=4), there=there)).submit == 1
    there = [replace(_one(0, PENDING, None), submitted_at=NOW - timedelta(hours=9))]
    assert decide(_situation(_jobs(10, None, fit=4), there=there)).submit == 2
    there = [replace(_one(0, STARTING, None), submitted_at=NOW - timedelta(hours=9))]
    assert decide(_situation(_jobs(10, None, fit=4), there=there)).submit == 0


def test_jobs_that_take_as_long_as_min_work_each_get_a_place() -> None:
    assert decide(_situation(_jobs(3, 120))).submit == 3
    assert decide(_situation(_jobs(9, 120, fit=4))).submit == 3
    assert decide(_situation(_jobs(8, 120, fit=4))).submit == 2


def test_short_jobs_get_as_many_allocations_as_have_work() -> None:
    assert decide(_situation(_jobs(48, 10))).submit == 4
    assert decide(_situation(_jobs(47, 10))).submit == 3
    assert decide(_situation(_jobs(47, 10, fit=4))).submit == 1
    assert decide(_serving(1, _jobs(47, 10))).submit == 2, "the one that serves does its part"


def test_never_more_allocations_than_jobs_fill_at_once() -> None:
    assert decide(_situation(_jobs(3, 119.9))).submit == 2
    assert decide(_situation(_jobs(2, 119.9), limits=replace(LIMITS, min_work=1))).submit == 2


def test_a_tiny_remainder_is_served_if_nothing_serves() -> None:
    assert decide(_situation(_jobs(1, 0.1, fit=64))).submit == 1


def test_a_tiny_remainder_is_left_to_those_that_serve() -> None:
    decision = decide(_serving(1, _jobs(1, 0.1)))
    assert decision.submit == 0
    assert decision.why == (
        "The nodes that serve will soon have done what waits: one more would have too little to do."
    )


def test_what_is_not_worth_an_allocation_is_left_to_those_that_serve() -> None:
    assert decide(_serving(1, _jobs(23, 10))).submit == 0
    assert decide(_serving(1, _jobs(24, 10))).submit == 1


def test_a_tiny_remainder_does_not_wait_behind_long_jobs() -> None:
    assert decide(_serving(1, _jobs(1, 0.1), free_in=86400)).submit == 1


def test_what_serves_takes_jobs_while_an_allocation_waits_in_the_queue() -> None:
    work = _jobs(300, 10)
    assert decide(_serving(4, work)).submit == 4
    assert decide(_serving(4, work, wait=600.0)).submit == 1
    assert decide(_serving(4, work, wait=660.0)).submit == 0
    assert decide(_serving(4, work, wait=660.0, free_in=60)).submit == 1, (
        "first they end what they run"
    )


def test_jobs_take_turns_on_what_serves() -> None:
    first, second = _jobs(6, 10, task=1), _jobs(30, 10, task=2)
    assert decide(_serving(1, first, second, wait=121.0)).submit == 0
    assert decide(_serving(1, first, second, wait=120.0)).submit == 1


def test_long_jobs_that_will_have_started_need_no_allocation() -> None:
    work = _jobs(10, 600)
    assert decide(_serving(2, work, wait=0.0)).submit == 4
    assert decide(_serving(2, work, wait=2400.0)).submit == 2
    assert decide(_serving(2, work, wait=3000.0)).submit == 0


def test_nodes_that_end_soon_take_few_jobs() -> None:
    work = _jobs(120, 10)
    assert decide(_serving(4, work, wait=300.0)).submit == 0
    many = replace(LIMITS, max_pilots=20)
    assert decide(_serving(4, work, wait=300.0, ends_in=60, limits=many)).need == 4 + 8, (
        "4 x 60 s of 1,200 s"
    )
    assert decide(_serving(4, work, wait=300.0, ends_in=160)).need == 4 + 4


def test_nodes_that_end_before_a_job_would_take_none() -> None:
    assert decide(_serving(2, _jobs(2, 3600), wait=4000.0, ends_in=3599)).submit == 2
    assert decide(_serving(2, _jobs(2, 3600), wait=4000.0, ends_in=3600)).submit == 0
    assert decide(_serving(2, _jobs(2, 3600), wait=4000.0, ends_in=3600, free_in=1)).submit == 2


def test_nodes_that_run_only_other_tasks_take_no_jobs() -> None:
    ours, theirs = _jobs(10, 10, task=1), _jobs(9, 10, task=2)
    both = _situation(theirs, ours, there=_there(SERVING), serving=(_rooms(theirs),))
    assert decide(both).submit == 1
    assert decide(replace(both, serving=(_rooms(theirs, ours),))).submit == 0


def test_part_of_an_allocation_takes_part_of_the_jobs() -> None:
    work = _jobs(60, 10)
    whole = _situation(work, serving=(_rooms(work),), wait=370.0)
    assert decide(whole).submit == 0
    assert decide(replace(whole, serving=(_rooms(work, size=0.5),))).submit == 2
    first, second = _jobs(6, 10, task=1), _jobs(30, 10, task=2)
    halves = _situation(first, second, serving=(_rooms(first, second, size=0.5),), wait=481.0)
    assert decide(halves).submit == 0
    assert decide(replace(halves, wait=470.0)).submit == 1


def test_long_and_short_jobs_share_an_allocation() -> None:
    long, short = _jobs(1, 3600, fit=8, task=1), _jobs(1200, 1, fit=8, task=2)
    assert decide(_situation(long, short)).submit == 1
    assert decide(_situation(long, replace(short, jobs=2400))).submit == 2


def test_short_jobs_wait_for_the_part_of_an_allocation_that_long_ones_leave() -> None:
    long, short = _jobs(1, 3600, fit=8, task=1), _jobs(2400, 1, fit=8, task=2)
    assert decide(_situation(long, short, wait=600.0)).submit == 2


def test_rounding_submits_nothing() -> None:
    for jobs in range(1, 200):
        for typical in (120.1, 333.3, 7777.7):
            decision = decide(
                _situation(_jobs(jobs, typical, 3), limits=replace(LIMITS, max_pilots=99))
            )
            assert decision.need == -(-jobs // 3)


def test_a_load_without_jobs_is_none() -> None:
    assert decide(_situation(_jobs(0, None), _jobs(0, 600))).need == 0


def test_jobs_that_nobody_has_measured_do_not_wait_behind_long_ones() -> None:
    assert decide(_serving(3, _jobs(5, None), free_in=10**6)).submit == 1


def test_allocations_that_come_are_not_submitted_again() -> None:
    there = _there(SUBMITTING, PENDING, STARTING)
    assert decide(_situation(_jobs(3, 600), there=there)).submit == 0
    assert decide(_situation(_jobs(4, 600), there=there)).submit == 1


def test_one_that_leaves_serves_no_more_and_counts_against_the_limit() -> None:
    limits = replace(LIMITS, max_pilots=3)
    there = _there(LEAVING, LEAVING)
    decision = decide(_situation(_jobs(3, 600), there=there, limits=limits))
    assert (decision.submit, decision.need) == (1, 3)
    there = _there(LEAVING, LEAVING, LEAVING)
    decision = decide(_situation(_jobs(3, 600), there=there, limits=limits))
    assert (decision.submit, decision.why) == (0, "The pool has 3 pilots, and may have 3 pilots.")


def test_an_unknown_one_counts_against_the_limits_and_is_not_waited_for_for_ever() -> None:
    fresh = replace(_one(0, UNKNOWN, None), seen_at=NOW - timedelta(seconds=599))
    stale = replace(fresh, seen_at=NOW - timedelta(seconds=600))
    assert decide(_situation(_jobs(1, 600), there=[fresh])).submit == 0
    assert decide(_situation(_jobs(1, 600), there=[stale])).submit == 1
    assert decide(_situation(_jobs(1, 600), there=[replace(fresh, seen_at=None)])).submit == 1
    assert decide(_situation(_jobs(1, 600), there=[replace(fresh, cancelled_at=NOW)])).submit == 1
    one = replace(LIMITS, max_pilots=1)
    assert decide(_situation(_jobs(1, 600), there=[stale], limits=one)).submit == 0
    one = replace(LIMITS, max_pending=1)
    assert decide(_situation(_jobs(1, 600), there=[stale], limits=one)).submit == 0
    began = replace(stale, started_at=NOW)
    assert decide(_situation(_jobs(1, 600), there=[began], limits=one)).submit == 1


def test_an_unknown_one_with_a_pilot_serves() -> None:
    there = [replace(_one(0, UNKNOWN, None), pilots=("p-0-h",), started_at=NOW, seen_at=NOW)]
    decision = decide(_situation(_jobs(1, 600), there=there))
    assert (decision.submit, decision.need) == (1, 2)


def test_a_pilot_that_never_attaches_is_not_waited_for_for_ever() -> None:
    slow = replace(_one(0, STARTING, None), started_at=NOW - timedelta(seconds=599))
    hung = replace(slow, started_at=NOW - timedelta(seconds=600))
    assert decide(_situation(_jobs(1, 600), there=[slow])).submit == 0
    assert decide(_situation(_jobs(1, 600), there=[hung])).submit == 1
    one = replace(LIMITS, max_pilots=1)
    assert decide(_situation(_jobs(1, 600), there=[hung], limits=one)).submit == 0


def test_a_pilot_that_has_not_begun_its_first_job_is_waited_for() -> None:
    new = replace(
        _one(0, SERVING, None), started_at=NOW - timedelta(seconds=119), first_job_at=None
    )
    assert decide(_situation(_jobs(9, None), there=[new])).submit == 0
    assert decide(_situation(_jobs(1, 600), there=[new])).submit == 0
    assert decide(_situation(_jobs(1, 600), there=[replace(new, first_job_at=NOW)])).submit == 1
    old = replace(new, started_at=NOW - timedelta(seconds=120))
    assert decide(_situation(_jobs(1, 600), there=[old])).submit == 1


def test_a_machine_whose_pilot_is_still_starting_is_waited_for() -> None:
    half = replace(_one(0, SERVING, None), nodes=2, started_at=NOW - timedelta(seconds=119))
    work = _situation(_jobs(1, 600), there=[half], nodes=2)
    assert decide(work).submit == 0
    kept = replace(work, loads=(), limits=replace(LIMITS, min_pilots=4))
    assert decide(kept).submit == 1
    whole = replace(half, pilots=("p-0-h", "p-0-i"))
    assert decide(replace(work, allocations=(whole,))).submit == 1
    half = replace(half, started_at=NOW - timedelta(seconds=120))
    assert decide(replace(work, allocations=(half,))).submit == 1


def test_at_most_max_pending_wait_in_the_queue() -> None:
    assert decide(_situation(_jobs(9, 600))).submit == 4
    there = _there(SUBMITTING, PENDING, PENDING)
    assert decide(_situation(_jobs(9, 600), there=there)).submit == 1
    decision = decide(
        _situation(_jobs(9, 600), there=(*there, *_there(PENDING, STARTING, first=7)))
    )
    assert (decision.submit, decision.need) == (0, 9)
    assert decision.why == "4 allocations wait in the queue, and at most 4 may."


def test_at_most_max_pilots_exist() -> None:
    decision = decide(_serving(8, _jobs(100, 600)))
    assert (decision.submit, decision.need) == (2, 10)
    decision = decide(_serving(10, _jobs(100, 600)))
    assert (decision.submit, decision.need) == (0, 10)
    assert decision.why == "The pool has 10 pilots, and may have 10 pilots."


def test_each_machine_of_an_allocation_counts_against_the_limit() -> None:
    limits = replace(LIMITS, max_pilots=9)
    assert decide(_situation(_jobs(9, 600), limits=limits, nodes=4)).submit == 2
    there = [replace(each, nodes=4) for each in _there(PENDING)]
    assert decide(_situation(_jobs(9, 600), there=there, limits=limits, nodes=4)).submit == 1
    assert decide(_situation(_jobs(9, 600), there=there, limits=limits, nodes=6)).submit == 0
    leaving = [replace(each, nodes=4) for each in _there(LEAVING)]
    assert decide(_situation(_jobs(9, 600), there=leaving, limits=limits, nodes=4)).submit == 1
    decision = decide(_situation(_jobs(9, 600), limits=limits, nodes=10))
    assert (decision.submit, decision.need) == (0, 0)
    assert decision.why == "An allocation has 10 pilots, and the pool may have only 9 pilots."


def test_min_pilots_are_kept_without_work() -> None:
    limits = replace(LIMITS, min_pilots=3)
    decision = decide(_situation(limits=limits))
    assert (decision.submit, decision.need) == (3, 3)
    assert decision.why == "Submitted 3 allocations, to keep 3 pilots."
    assert decide(_situation(limits=limits, there=_there(SERVING, PENDING))).submit == 1
    assert decide(_situation(limits=limits, there=_there(LEAVING))).submit == 3
    assert decide(_situation(limits=limits, nodes=2)).submit == 2
    late = NOW - timedelta(hours=1)
    assert not decide(
        _situation(limits=limits, there=_there(*[PENDING] * 3), surplus_since=late)
    ).withdraw


def test_nothing_is_submitted_before_the_end_of_a_delay() -> None:
    back_off = BackOff(refusals=3, not_before=NOW + timedelta(seconds=1), trouble="Invalid qos")
    decision = decide(_situation(_jobs(9, 600), back_off=back_off))
    assert (decision.submit, decision.need) == (0, 9)
    assert (
        decision.why
        == "Nothing is submitted for a while, because the last 3 submissions were refused: Invalid qos."
    )
    assert decide(_situation(_jobs(9, 600), back_off=replace(back_off, not_before=NOW))).submit == 1


def test_after_an_early_end_one_at_a_time_is_submitted() -> None:
    back_off = BackOff(early_ends=1, not_before=NOW, trouble="NODE_FAIL")
    assert decide(_situation(_jobs(9, 600), back_off=back_off)).submit == 1
    decision = decide(_situation(_jobs(9, 600), there=_there(PENDING), back_off=back_off))
    assert (decision.submit, decision.need) == (0, 9)
    assert "only one at a time" in decision.why
    early = replace(back_off, not_before=NOW + timedelta(seconds=1))
    assert decide(_situation(_jobs(9, 600), back_off=early)).why == (
        "Nothing is submitted for a while, because the last allocation ended before it ran a job: NODE_FAIL."
    )


def test_what_is_not_needed_for_a_minute_is_withdrawn_the_youngest_first() -> None:
    there = _there(PENDING, PENDING, PENDING, SUBMITTING)
    first = decide(_situation(there=there))
    assert (first.withdraw, first.surplus_since) == ((), NOW)
    assert first.why == "3 pending allocations have no work left, and are withdrawn if that lasts."
    lasting = _situation(there=there, surplus_since=NOW - timedelta(seconds=59))
    assert decide(lasting).withdraw == ()
    last = decide(replace(lasting, surplus_since=NOW - timedelta(seconds=60)))
    assert last.withdraw == (UUID(int=2), UUID(int=1), UUID(int=0))


@pytest.mark.parametrize(("waited", "lasts"), [(601, 60), (1200, 120), (6000, 600), (86400, 600)])
def test_what_has_waited_long_is_kept_longer(waited: int, lasts: int) -> None:
    there = [replace(_one(0, PENDING, None), submitted_at=NOW - timedelta(seconds=waited))]
    there += [replace(_one(1, PENDING, None), submitted_at=NOW)]
    since = NOW - timedelta(seconds=lasts)
    early = _situation(there=there, surplus_since=since + timedelta(seconds=0.5))
    assert not decide(early).withdraw
    assert len(decide(replace(early, surplus_since=since - timedelta(seconds=0.2))).withdraw) == 2


def test_only_as_many_are_withdrawn_as_are_not_needed() -> None:
    since = NOW - timedelta(hours=1)
    there = _there(PENDING, PENDING, PENDING)
    assert decide(_situation(_jobs(1, 600), there=there, surplus_since=since)).withdraw == (
        UUID(int=2),
        UUID(int=1),
    )
    kept = decide(_situation(_jobs(3, 600), there=there, surplus_since=since))
    assert (kept.withdraw, kept.surplus_since) == ((), None)


def test_one_that_was_cancelled_is_not_withdrawn_again() -> None:
    there = [replace(each, cancelled_at=NOW) for each in _there(PENDING)]
    assert decide(_situation(there=there, surplus_since=NOW - timedelta(hours=1))).withdraw == ()


def test_a_little_less_work_than_at_its_submission_withdraws_nothing() -> None:
    since = NOW - timedelta(hours=1)
    there = _there(*[PENDING] * 4)
    assert decide(_situation(_jobs(48, 10), there=there)).surplus_since is None
    assert decide(_situation(_jobs(24, 10), there=there, surplus_since=since)).withdraw == ()
    assert decide(_situation(_jobs(23, 10), there=there, surplus_since=since)).withdraw == (
        UUID(int=3),
    )
    there = (*_there(SERVING), *_there(PENDING, first=1))
    work = _jobs(24, 10)
    soon = _situation(work, there=there, serving=(_rooms(work),), wait=3600.0, surplus_since=since)
    assert (decide(soon).submit, decide(soon).withdraw) == (0, ()), "it may start at any moment"


def test_nothing_is_withdrawn_that_jobs_may_need_which_nobody_has_measured() -> None:
    late = NOW - timedelta(hours=1)
    there = _there(*[PENDING] * 3)
    decision = decide(_situation(_jobs(3, None), there=there, surplus_since=late))
    assert (decision.submit, decision.withdraw) == (0, ())
    assert decide(_situation(_jobs(2, None), there=there, surplus_since=late)).withdraw == (
        UUID(int=2),
    )
    begun = replace(_jobs(3, 5), is_measured=False)
    assert decide(_situation(begun, there=there, surplus_since=late)).withdraw == ()
    assert len(decide(_situation(_jobs(3, 5), there=there, surplus_since=late)).withdraw) == 2


def test_a_lower_limit_withdraws_what_is_above_it() -> None:
    limits = replace(LIMITS, max_pilots=1)
    there = _there(PENDING, PENDING)
    decision = decide(
        _situation(
            _jobs(9, 600), there=there, limits=limits, surplus_since=NOW - timedelta(hours=1)
        )
    )
    assert decision.withdraw == (UUID(int=1),)


def test_a_paused_pool_submits_nothing_and_withdraws_what_has_not_started() -> None:
    decision = decide(
        _situation(_jobs(9, 600), there=_there(PENDING, STARTING, SERVING), is_paused=True)
    )
    assert (decision.submit, decision.withdraw) == (0, (UUID(int=0),))
    assert decision.why == "The pool is paused."


@pytest.mark.parametrize("deletion", ["drain", "now"])
def test_a_pool_that_is_being_deleted_withdraws_at_once(deletion: str) -> None:
    limits = replace(LIMITS, min_pilots=3)
    there = _there(PENDING, STARTING, SERVING)
    decision = decide(_situation(_jobs(9, 600), there=there, limits=limits, deletion=deletion))
    assert (decision.submit, decision.withdraw, decision.need) == (0, (UUID(int=0),), 0)
