"""Why no pilot of a pool comes for a job that waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from orchestra.command_words import worded
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.pools import (
    Allocation,
    AllocationState,
    BackOff,
    Decision,
    Pool,
    PoolLimits,
    PoolSpec,
)
from orchestra.domain.offers import Need
from orchestra.domain.pools.pool_text import state_of
from orchestra.domain.pools.prospects import Prospect, is_coming, why_no_pilot
from orchestra.domain.pools.shape import shape_of
from orchestra.domain.resources import Request
from orchestra.domain.states import Queue

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
POOL = Pool(
    1,
    "long",
    "slurm",
    "ana",
    "ana",
    PoolSpec(cpus=4, memory_bytes=8 * 10**9),
    PoolLimits(walltime=3600.0),
    NOW,
    run_by="ana on login1",
)
NEED = Need(Queue.CPU, 1, "ana", request=Request(cpus=1))


def said(pool: Pool, need: Need = NEED) -> list[str]:
    prospect = Prospect(pool, shape_of(pool), NOW)
    return [worded(each) for each in why_no_pilot([prospect], need)]


def allocation(state: AllocationState, reason: str | None = None, minutes: int = 4) -> Allocation:
    submitted = NOW - timedelta(minutes=minutes)
    return Allocation(uuid4(), "long", "17", state, submitted, word="PENDING", reason=reason)


def test_the_decision_says_why_where_nothing_holds_a_pool_back() -> None:
    pool = replace(POOL, decision=Decision(why="The pool has 10 pilots, and may have 10 pilots."))
    assert said(pool) == ["Pool long: The pool has 10 pilots, and may have 10 pilots."]
    assert is_coming([Prospect(pool, shape_of(pool), NOW)], NEED)


def test_what_is_pending_is_told_in_the_words_of_slurm() -> None:
    waits = allocation(AllocationState.PENDING, "QOSMaxJobsPerUserLimit")
    assert said(replace(POOL, live=(waits,))) == [
        "1 allocation of pool long waits, for 4 min; Slurm says: QOSMaxJobsPerUserLimit."
    ]
    other = allocation(AllocationState.PENDING, "Priority", minutes=2)
    assert said(replace(POOL, live=(waits, other))) == [
        "2 allocations of pool long wait, the first for 4 min; Slurm says: QOSMaxJobsPerUserLimit and Priority."
    ]


def test_a_pool_that_nobody_runs() -> None:
    assert said(replace(POOL, run_by=None)) == [
        "No process runs pool long. Where its engine is: maestro pool run long"
    ]


def test_a_paused_pool_says_by_whom_and_why() -> None:
    paused = replace(
        POOL, paused_at=NOW - timedelta(hours=3), paused_by="bob", pause_reason="moving"
    )
    assert said(paused) == [
        'Pool long was paused 3 h ago by bob: "moving". maestro pool resume long ends that.'
    ]
    assert not is_coming([Prospect(paused, shape_of(paused), NOW)], NEED)
    refused = BackOff(refusals=1, not_before=NOW + timedelta(minutes=1), trouble="no")
    assert len(said(replace(paused, back_off=refused))) == 1, "it waits for a person, not for that"


@pytest.mark.parametrize(
    ("back_off", "words"),
    [
        (BackOff(refusals=3), "The last 3 submissions of pool long were refused: no such QOS."),
        (BackOff(early_ends=1), "The last allocation of pool long ended before it ran a job: no such QOS."),
    ],
)  # fmt: skip
def test_back_off_says_what_slurm_said_and_until_when(back_off: BackOff, words: str) -> None:
    later = replace(back_off, not_before=NOW + timedelta(minutes=4), trouble="no such QOS")
    assert said(replace(POOL, back_off=later)) == [f"{words} The next submission is in 4 min."]
    over = replace(later, not_before=NOW - timedelta(minutes=1))
    assert said(replace(POOL, back_off=over)) == [
        "Pool long starts a pilot when such jobs are ready."
    ]


@pytest.mark.parametrize(
    ("need", "words"),
    [
        (replace(NEED, request=Request(cpus=5)), "its nodes have fewer than 5 CPU slots"),
        (replace(NEED, request=Request(cpus=1, memory_bytes=9 * 10**9)), "its nodes have less than 9 GB of memory"),
        (replace(NEED, seconds=7200.0), "it may take 2 h, with its grace, and a pilot there has 58 min 30 s for jobs"),
        (replace(NEED, placement=Placement(nodes=("gauss",))), "it may run only on gauss"),
        (replace(NEED, placement=Placement("gpu=a100")), "its nodes do not meet gpu=a100"),
    ],
)  # fmt: skip
def test_why_no_pilot_of_a_pool_could_run_a_job(need: Need, words: str) -> None:
    assert said(POOL, need) == [f"Pool long cannot run it: {words}."]


def test_a_pool_of_another_account() -> None:
    assert said(POOL, replace(NEED, account="bob")) == [
        'Pool long runs only jobs of the Unix account "ana".'
    ]
    assert said(replace(POOL, serves_all=True, run_by=None), replace(NEED, account="bob"))[
        0
    ].startswith("No process")


def test_an_engine_that_does_not_answer() -> None:
    silent = replace(
        POOL, silent_since=NOW - timedelta(minutes=3), silence="Unable to contact slurm controller"
    )
    assert said(silent) == ["Slurm has not answered for 3 min: Unable to contact slurm controller."]
    assert not is_coming([Prospect(silent, shape_of(silent), NOW)], NEED)


def test_a_pool_without_a_time_limit_is_not_too_short() -> None:
    endless = replace(POOL, limits=PoolLimits())
    assert said(endless, replace(NEED, seconds=10**6)) == [
        "Pool long starts a pilot when such jobs are ready."
    ]


def test_the_state_of_a_pool_in_one_word() -> None:
    pending, serves = allocation(AllocationState.PENDING), allocation(AllocationState.SERVING)
    backs_off = BackOff(refusals=1, not_before=NOW + timedelta(minutes=1))
    withdrawn = allocation(AllocationState.LEAVING)
    assert [
        state_of(each, NOW)
        for each in (
            POOL,
            replace(POOL, live=(pending,)),
            replace(POOL, live=(pending, serves)),
            replace(POOL, live=(withdrawn,)),
            replace(POOL, back_off=backs_off),
            replace(POOL, run_by=None),
            replace(POOL, paused_at=NOW, run_by=None),
            replace(POOL, deletion="drain", paused_at=NOW),
        )
    ] == ["IDLE", "STARTING", "SERVING", "STARTING", "BACKING OFF", "NOT RUN", "PAUSED", "DELETING"]
