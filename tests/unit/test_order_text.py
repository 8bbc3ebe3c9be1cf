"""Why tasks have their places, in words."""

from __future__ import annotations

from orchestra.domain.fair_share import Share
from orchestra.domain.order_text import why_there
from orchestra.domain.ranking import Contender, in_order
from orchestra.domain.states import Queue

NAMES = {1: "ana", 2: "bob", 3: "carla"}


def _task(task: int, owner: int = 1, **changes: object) -> Contender:
    values = {"queue": Queue.CPU, "owner": owner, "priority": 0, "first_in_line": False, "ready": 1}
    return Contender(task, **{**values, **changes})  # type: ignore[arg-type]


def _whys(tasks: list[Contender], shares: dict[int, Share]) -> list[tuple[int, str]]:
    line = in_order(tasks, {owner: share.score for owner, share in shares.items()})
    return list(zip((each.task for each in line), why_there(line, shares, NAMES), strict=True))


def test_each_place_has_a_reason() -> None:
    tasks = [
        _task(0),
        _task(1, testing=True),
        _task(2, first_in_line=True),
        _task(3, priority=5),
        _task(4),
        _task(5, owner=2, priority=999),
        _task(6, owner=3),
    ]
    shares = {1: Share(1, 0), 2: Share(8, 2), 3: Share(10, 10, shares=2)}
    assert _whys(tasks, shares) == [
        (3, "first: ana has used least"),
        (1, "priority 0, task 3 has 5"),
        (2, "task 1 is being tested"),
        (0, "task 2 is retried"),
        (4, "task 0 is older"),
        (5, "bob has used more than ana"),
        (6, "carla has used as much as bob, whose task is older"),
    ]


def test_who_is_alone_is_compared_with_nobody() -> None:
    assert _whys([_task(7)], {1: Share()}) == [(7, "first")]
