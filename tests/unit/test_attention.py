"""What needs a person is told with its one remedy, and nothing is told when all is well."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestra.command_words import worded
from orchestra.domain.attention import Attention, Concern, EndedTask, Facts, LateMail, needs
from orchestra.domain.matchmaking import NodeOffer
from orchestra.domain.models.cluster import Recovery
from orchestra.domain.models.nodes import Pilot
from orchestra.domain.models.overview import HourlyEnds, last_hours
from orchestra.domain.models.pools import Pool, PoolLimits, PoolSpec
from orchestra.domain.models.tasks import Counts, Dependency, Hold, Policy, Resources, Task
from orchestra.domain.pools.prospects import Prospect
from orchestra.domain.pools.shape import shape_of
from orchestra.domain.states import HoldCause, Queue, TaskState
from orchestra.domain.troubles import Stuck, no_room, preparing
from orchestra.domain.wording import words

NOW = datetime(2026, 11, 26, 12, 30, tzinfo=UTC)
TASK = Task(
    7, "user.ana.mlp", "ana", "ana", Queue.CPU, TaskState.RUNNING, "run %IN", None, "/data", "/data/out", None, 1, {},
    Policy(), Resources(), jobs=36, run=1, counts=Counts(running=2, assigned=4, done=30), created_at=NOW, state_at=NOW,
)  # fmt: skip
WAITING = replace(TASK, counts=Counts(assigned=6, done=30))
PILOT = Pilot(
    "gauss", "gauss", 1, "ana", "0.3", may_conduct=True, serve_all=False, leave=False, started_at=NOW,
    seen_at=NOW - timedelta(minutes=4), online=True, conducts=True, jobs=2,
)  # fmt: skip
OFFER = NodeOffer("gauss", 8, online=True, account="ana")
WELL = Facts(
    NOW,
    recovery=None,
    conductor=True,
    stuck=(),
    live=(TASK, WAITING),
    ended=(),
    pilots=(PILOT,),
    offers={Queue.CPU: (OFFER,), Queue.GPU: ()},
    mail=LateMail(),
)


def told(**changes: Any) -> list[tuple[Concern, str, str | None]]:
    return [
        (each.concern, worded(each.what), worded(words(each.remedy)) if each.remedy else None)
        for each in needs(replace(WELL, **changes))
    ]


def test_nothing_is_told_when_all_is_well() -> None:
    assert told() == []
    assert told(live=(), pilots=()) == []
    assert told(live=(), pilots=(replace(PILOT, online=False, jobs=0),)) == []
    assert told(pilots=(replace(PILOT, troubles=(preparing("a.sif", "10 %"),)),)) == []


def test_a_pool_that_would_come_needs_nobody_and_one_that_cannot_is_told() -> None:
    pool = Pool(
        1, "long", "slurm", "ana", None, PoolSpec(cpus=8), PoolLimits(), NOW, run_by="login1"
    )
    comes = {Queue.CPU: (Prospect(pool, shape_of(pool), NOW),)}
    assert told(pilots=(), pools=comes) == []
    paused = replace(pool, paused_at=NOW, paused_by="orchestra", pause_reason="InvalidAccount")
    held = {Queue.CPU: (Prospect(paused, shape_of(paused), NOW),)}
    ((concern, what, _),) = told(offers={Queue.CPU: (), Queue.GPU: ()}, pools=held)
    assert concern is Concern.TASK_WAITS
    assert 'Pool long was paused now by orchestra: "InvalidAccount".' in what


HELD = Hold(NOW, "orchestra", "3 jobs failed", HoldCause.FAILURES)
NEEDS: list[tuple[dict[str, Any], Concern, str, str | None]] = [
    (
        {"recovery": Recovery("it was restored", NOW, ("gauss",))},
        Concern.RECOVERY,
        "The database is recovering: it was restored; nothing starts until gauss reports its jobs",
        None,
    ),
    (
        {"pilots": (replace(PILOT, online=False, jobs=0),)},
        Concern.PILOTS,
        "No pilot is online, so no job starts",
        "maestro pilot run",
    ),
    (
        {"conductor": False},
        Concern.CONDUCTOR,
        "There is no conductor, so no task makes progress",
        "maestro pilot run",
    ),
    (
        {"stuck": (Stuck(7, "unknown state"),)},
        Concern.CONDUCTOR,
        "The conductor cannot continue with task 7: unknown state",
        None,
    ),
    (
        {"live": (replace(TASK, hold=HELD),)},
        Concern.TASK_HELD,
        "Task 7 (user.ana.mlp) is held by orchestra: 3 jobs failed",
        "maestro task release 7",
    ),
    (
        {"live": (replace(TASK, hold=replace(HELD, cause=HoldCause.FILES)),)},
        Concern.TASK_HELD,
        "Task 7 (user.ana.mlp) is held by orchestra: 3 jobs failed",
        "maestro task retry 7 --update",
    ),
    (
        {"live": (replace(WAITING, after=(Dependency(2, "user.ana.prep", TaskState.BROKEN),)),)},
        Concern.TASK_WAITS,
        "Task 7 (user.ana.mlp) cannot begin: after task 2 (BROKEN)",
        "maestro task show 7",
    ),
    (
        {"live": (replace(WAITING, queue=Queue.GPU),), "offers": {Queue.GPU: (replace(OFFER, enabled=0),)}},
        Concern.TASK_WAITS,
        "Task 7 (user.ana.mlp) cannot start. No node has an enabled GPU slot.",
        None,
    ),
    (
        {"ended": (EndedTask(replace(TASK, state=TaskState.BROKEN), "1 of 10 test jobs failed"),)},
        Concern.TASK_FAILED,
        "Task 7 (user.ana.mlp) broke in its test: 1 of 10 test jobs failed",
        "maestro task retry 7",
    ),
    (
        {"ended": (EndedTask(replace(TASK, state=TaskState.FINALIZED, counts=Counts(done=34, failed=2)), None),)},
        Concern.TASK_FAILED,
        "Task 7 (user.ana.mlp) has ended: 34 done, 2 failed",
        "maestro task retry 7",
    ),
    (
        {"pilots": (PILOT, replace(PILOT, node="caloba22", online=False))},
        Concern.NODE_OFFLINE,
        "Node caloba22 was last heard of 4 min ago; 2 jobs at stake",
        "maestro node lost -n caloba22",
    ),
    (
        {"pilots": (replace(PILOT, troubles=(no_room("/tmp", "1 MB free"),)),)},
        Concern.NODE_TROUBLE,
        "Node gauss: takes no jobs: not enough space in /tmp (1 MB free)",
        None,
    ),
    (
        {"mail": LateMail(2, 1, "refused the login")},
        Concern.MAIL,
        "3 mails could not be delivered: refused the login",
        "maestro mail list",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "concern", "what", "remedy"), NEEDS)
def test_what_needs_attention(
    changes: dict[str, Any], concern: Concern, what: str, remedy: str | None
) -> None:
    assert told(**changes) == [(concern, what, remedy)]


def test_a_task_that_waits_until_a_node_opens_needs_nobody() -> None:
    closed = replace(OFFER, opens_in=3600.0)
    waiting = replace(WAITING, policy=replace(WAITING.policy, walltime=60.0))
    for offer in (closed, replace(OFFER, seconds_left=10.0)):
        assert told(live=(waiting,), offers={Queue.CPU: (offer,)}) == []


def test_a_task_is_named_where_it_is_about_one() -> None:
    (found,) = needs(replace(WELL, live=(replace(TASK, hold=HELD),)))
    assert isinstance(found, Attention)
    assert (found.task, found.node) == (7, None)


def test_the_last_hours_have_no_gaps() -> None:
    hours = last_hours([HourlyEnds(NOW.replace(hour=10, minute=0), 5, 1)], NOW)
    assert len(hours) == 24
    assert hours[-1].hour == NOW.replace(minute=0)
    assert [(each.done, each.failed) for each in hours[-4:]] == [(0, 0), (5, 1), (0, 0), (0, 0)]
