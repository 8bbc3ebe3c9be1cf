"""Why tasks have their places in a queue, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestra.domain.fair_share import Share
from orchestra.domain.ranking import Contender

RULE = (
    "Who has used least for their shares is next. The score is what is in use and was used lately, halved each day, "
    "in CPU slots; memory and GPUs count as the slots that come with them."
)


def why_there(
    line: Sequence[Contender], shares: Mapping[int, Share], names: Mapping[int, str]
) -> Iterator[str]:
    """Yield for each task of a queue, in its order, why it is not further ahead.

    Args:
        line: the tasks in order (`ranking.in_order`).
        shares, names: of the owners.
    """
    before: Contender | None = None
    for each in line:
        if before is None:
            alone = all(other.owner == each.owner for other in line)
            yield "first" if alone else f"first: {names[each.owner]} has used least"
        elif before.owner == each.owner:
            yield _within_share(each, before)
        else:
            yield _between_users(each, before, shares, names)
        before = each


def _within_share(task: Contender, before: Contender) -> str:
    if task.priority != before.priority:
        return f"priority {task.priority}, task {before.task} has {before.priority}"
    if before.testing and not task.testing:
        return f"task {before.task} is being tested"
    if before.first_in_line and not task.first_in_line:
        return f"task {before.task} is retried"
    return f"task {before.task} is older"


def _between_users(
    task: Contender, before: Contender, shares: Mapping[int, Share], names: Mapping[int, str]
) -> str:
    own, other = names[task.owner], names[before.owner]
    score, less = (round(shares[each].score, 6) for each in (task.owner, before.owner))
    if score == less:
        return f"{own} has used as much as {other}, whose task is older"
    return f"{own} has used more than {other}"
