"""A task's goal: how it is written, and what it decides."""

from __future__ import annotations

import pytest

from orchestra import command_words
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import StatedGoal, parse_goal
from orchestra.domain.result_ranking import arranged, goal
from orchestra.domain.results import Row, Table, table_of


@pytest.mark.parametrize(
    ("text", "metric", "highest"),
    [
        ("min:loss", "loss", False),
        ("max:val.accuracy", "val.accuracy", True),
        (" max : F1 score ", "F1 score", True),
        ("min:χ²:a", "χ²:a", False),
    ],
)
def test_a_goal(text: str, metric: str, highest: bool) -> None:
    found = parse_goal(text)
    assert found == StatedGoal(metric, highest)
    assert parse_goal(str(found)) == found


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("loss", "does not say whether the lowest or the highest", "--goal min:loss"),
        ("accuracy", '"accuracy" does not say', "--goal max:accuracy"),
        ("chi", "does not say", "--goal min:chi or --goal max:chi"),
        ("val:loss", "does not say", "--goal min:val:loss"),
        ("maximize:chi", "does not say", "--goal max:chi"),
        ("Lowest:chi", "does not say", "--goal min:chi"),
        ("", 'the goal "" does not say', "--goal min:loss"),
        ("min:", "names no metric", "For example --goal min:loss"),
        ("max:a\nb", "does not name a metric", None),
        ("max:" + "a" * 501, "does not name a metric", None),
        ("max:a\0", "has a NUL character", None),
        ("max:\ud800", "is not valid UTF-8", None),
    ],
)
def test_what_is_no_goal_is_answered_with_what_would_be(
    text: str, sentence: str, hint: str | None
) -> None:
    with pytest.raises(BadInput) as caught:
        parse_goal(text)
    assert sentence in command_words.message_of(caught.value)
    if hint:
        assert command_words.hint_of(caught.value) == hint


TABLE = table_of(
    [
        Row(0, "", metrics={"acc": 0.5, "loss": 3, "chi": 2}),
        Row(1, "", metrics={"acc": 0.9, "loss": 1, "chi": 9}),
        Row(2, "", metrics={"acc": 0.7, "loss": 2, "chi": 1}),
    ]
)


def order(table: Table = TABLE, **wishes: object) -> list[int]:
    return [row.job for row in arranged(table, **wishes)[0].rows]  # type: ignore[arg-type]


def test_a_stated_goal_decides_in_place_of_a_name() -> None:
    assert order(limit=3) == [1, 2, 0]
    assert order(limit=3, stated=parse_goal("min:chi")) == [2, 0, 1]
    assert order(limit=3, stated=parse_goal("max:metrics.loss")) == [0, 2, 1]
    assert order(limit=3, stated=parse_goal("min:chi"), highest=True) == [1, 0, 2]


def test_a_stated_goal_that_no_result_has_is_not_replaced_by_a_guess() -> None:
    assert goal(TABLE, parse_goal("max:ac")) is None
    with pytest.raises(BadInput, match=r'no result has a number named "ac".* Did you mean "acc"'):
        order(limit=1, stated=parse_goal("max:ac"))


def test_direction_sort_and_best_agree() -> None:
    for wishes in ({}, {"limit": 3}, {"limit": 3, "stated": parse_goal("min:acc")}):
        assert order(sort="acc", highest=True, **wishes) == [1, 2, 0]
        assert order(sort="-acc", **wishes) == [1, 2, 0]
        assert order(sort="-acc", highest=True, **wishes) == [1, 2, 0]
        assert order(sort="acc", highest=False, **wishes) == [0, 2, 1]
    assert order(sort="loss", limit=3, stated=parse_goal("max:acc")) == [1, 2, 0]
    # The goal says which rows are best, not how a table is sorted.
    assert order(sort="acc", stated=parse_goal("max:acc")) == [0, 2, 1]
    assert order(sort="acc", limit=3, stated=parse_goal("max:acc")) == [1, 2, 0]
    with pytest.raises(BadInput, match="sort=-acc and direction=min contradict each other"):
        order(sort="-acc", highest=False)


def test_a_direction_is_enough_for_the_only_metric() -> None:
    table = table_of([Row(n, "", values={"lr": n}, metrics={"chi": n, "t": "x"}) for n in range(3)])
    assert order(table, limit=1, highest=True) == [2]
    with pytest.raises(BadInput, match="no metric's name tells"):
        order(table, limit=1)
