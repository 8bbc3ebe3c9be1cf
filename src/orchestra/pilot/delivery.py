"""Delivering outcomes to the database, in batches, and setting aside those that it does not accept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from uuid import UUID

import psycopg

from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.states import Queue
from orchestra.pilot.context import boottime
from orchestra.services import work

MAX_SET_ASIDE = 1_000
"""Files of outcomes that PostgreSQL did not accept; older ones are removed."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An outcome that waits to be reported, and when the attempt ended, by CLOCK_BOOTTIME."""

    outcome: Outcome
    ended_at: float

    def now(self) -> Outcome:
        """The outcome with its current age."""
        return replace(self.outcome, age=max(0.0, boottime() - self.ended_at))


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of a delivery.

    Args:
        refused: outcomes that PostgreSQL did not accept, each with its error.
        unknown: attempts that the database does not know, because it was replaced by an older copy of itself.
        limited: the tasks whose next jobs may have been released by this, and their queues.
    """

    refused: tuple[tuple[Outcome, str], ...] = ()
    unknown: tuple[AttemptKey, ...] = ()
    limited: Mapping[int, Queue] = field(default_factory=dict)


def deliver(keeper: UUID, batch: Sequence[Pending], conn: psycopg.Connection) -> Delivery:
    """Report a batch. One that PostgreSQL refuses because of its content is halved until the culprits are found."""
    try:
        recorded = work.report(conn, keeper, [pending.now() for pending in batch])
    except (
        psycopg.DataError,
        psycopg.IntegrityError,
        psycopg.InternalError,
        UnicodeError,
    ) as error:
        if len(batch) == 1:
            return Delivery(((batch[0].outcome, str(error)),))
        middle = len(batch) // 2
        first, second = deliver(keeper, batch[:middle], conn), deliver(keeper, batch[middle:], conn)
        return Delivery(
            first.refused + second.refused,
            first.unknown + second.unknown,
            {**first.limited, **second.limited},
        )
    return Delivery(unknown=recorded.unknown, limited=recorded.limited)


def set_aside(folder: Path, outcome: Outcome, error: str) -> Path:
    """Write an outcome that PostgreSQL does not accept, with the error, to a file; return its path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{str(outcome.key).replace('/', '-')}-{outcome.key.token}.json"
    known = asdict(outcome)
    known["key"]["ordinal"] = known["key"].pop("index")  # the name in files of earlier versions
    record = {"error": error, "outcome": known}
    path.write_text(json.dumps(record, default=repr, indent=1), encoding="utf-8")
    records = sorted(folder.glob("*.json"), key=lambda each: each.stat().st_mtime)
    for old in records[:-MAX_SET_ASIDE]:
        old.unlink(missing_ok=True)
    return path
