"""Questions about what was used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from orchestra.domain.models.accounts import UsageKey
from orchestra.interface.answers.usage import UsageReport
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ListUsage(Question[UsageReport]):
    """What jobs requested and used, up to the last attempt that ended. Days are those of UTC.

    Args:
        by: what to sum by, in this order.
        since, until: the first and the last day.
        user: only what this user's tasks took.

    Raises:
        BadInput: `by` is empty or names something twice, or the last day is before the first.
        NotFound: there is no such user, and was none.
    """

    by: tuple[UsageKey, ...] = (UsageKey.USER, UsageKey.MONTH)
    since: date | None = None
    until: date | None = None
    user: str | None = None
