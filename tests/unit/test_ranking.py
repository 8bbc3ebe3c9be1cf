"""The order in which tasks are served."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from orchestra.domain.ranking import Contender, in_order, rank
from orchestra.domain.states import Queue

NOBODY: Mapping[int, float] = {}


def _contender(task: int, **changes: object) -> Contender:
    values = {"queue": Queue.CPU, "owner": 1, "priority": 0, "first_in_line": False, "ready": 1}
    return Contender(task, **{**values, **changes})  # type: ignore[arg-type]


def test_order_is_fair_share_then_priority_then_tests_then_retried_then_age() -> None:
    tasks = [
        _contender(0),
        _contender(1, testing=True),
        _contender(2, first_in_line=True),
        _contender(3, owner=2),
        _contender(4, owner=3, priority=999),
        _contender(5, owner=2, ready=0),
        _contender(6, queue=Queue.GPU),
        _contender(7, priority=1),
        _contender(8, owner=2, priority=-1),
    ]
    ranks = rank(tasks, {1: 8.0, 3: 50.0})
    assert sorted((t for t in ranks if t != 6), key=lambda t: ranks[t]) == [3, 8, 7, 1, 2, 0, 4]
    assert ranks[6] == 0
    assert 5 not in ranks


def test_users_with_the_same_score_take_turns_by_their_oldest_task() -> None:
    """The tasks of a user follow each other."""
    tasks = [_contender(n, owner=2 - n % 2) for n in range(6)]
    assert [each.task for each in in_order(tasks, {1: 1.0, 2: 1.0 + 1e-9})] == [0, 2, 4, 1, 3, 5]


def _line(*ranks: int | None) -> list[Contender]:
    """Tasks 0, 1, 2, ... that are to be served in this order and have these ranks."""
    return [_contender(task, rank=own) for task, own in enumerate(ranks)]


@pytest.mark.parametrize(
    ("had", "given"),
    [
        ((), []),
        ((None, None), [0, 1]),
        ((3, 7, 8), [3, 7, 8]),  # those before and between them are over
        ((3, 7, None, None), [3, 7, 8, 9]),
        ((None, None, 0, 1), [-2, -1, 0, 1]),
        ((2, None, 4, 5), [2, 3, 4, 5]),
        ((2, None, 3, 4), [0, 1, 2, 3]),  # no room
        ((5, 5, 6), [4, 5, 6]),
        ((9, 1, 2, 3), [0, 1, 2, 3]),
        ((2, 3, 1), [2, 3, 4]),
    ],
)
def test_most_tasks_keep_their_ranks(had: tuple[int | None, ...], given: list[int]) -> None:
    ranks = rank(_line(*had), NOBODY)
    assert list(dict(sorted(ranks.items())).values()) == given


def test_ranks_rise_along_the_line_whatever_they_were() -> None:
    chance = random.Random(7)
    for _ in range(500):
        had = [chance.choice([None, *range(-3, 12)]) for _ in range(chance.randrange(9))]
        ranks = rank(_line(*had), NOBODY)
        assert list(ranks) == sorted(ranks, key=lambda task: ranks[task])
        assert sorted(ranks) == list(range(len(had)))
        assert len(set(ranks.values())) == len(had)
