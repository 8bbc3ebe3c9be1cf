"""What was used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from orchestra.domain.models.accounts import UsageKey, UsageRow, Used


@dataclass(frozen=True, slots=True)
class UsageReport:
    """A row for each combination of `by` from `since` to `until` (both included), in order, and their sum."""

    by: tuple[UsageKey, ...]
    since: date | None
    until: date | None
    rows: tuple[UsageRow, ...]
    total: Used
