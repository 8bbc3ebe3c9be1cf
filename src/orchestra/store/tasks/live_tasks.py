"""The tasks on which the conductor decides, and what it records about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import itemgetter
from typing import Any

import psycopg

from orchestra.domain.fair_share import Load
from orchestra.domain.lifecycle import TaskFacts, TestFacts
from orchestra.domain.models.tasks import Counts, Limit, Resources
from orchestra.domain.models.users import UserLimits
from orchestra.domain.node_timeline import seconds_at_most
from orchestra.domain.ranking import Contender
from orchestra.domain.resources import Request
from orchestra.domain.states import PendingOperation, Queue, TaskState
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/live_tasks")


@dataclass(frozen=True, slots=True)
class LiveTask:
    """A task as the conductor sees it.

    Args:
        shares, limits: of its owner.
        load: what its living jobs take together.
        request: what each of its next jobs takes.
        placement: the id of its placement, None for anywhere.
        seconds: the longest time that a job takes, with its grace, as far as is known; None if unknown.
    """

    id: int
    name: str
    queue: Queue
    owner_id: int
    priority: int
    first_in_line: bool
    rank: int | None
    test_for: float | None
    typical_seconds: float | None
    facts: TaskFacts
    owner: str
    account: str
    image: str | None
    shares: float
    limits: UserLimits
    load: Load
    request: Request
    placement: int | None
    seconds: float | None

    @property
    def contender(self) -> Contender:
        """What decides its rank, besides its owner's share."""
        counts = self.facts.counts
        claimable = self.facts.state.may_claim and not self.facts.held
        # With max_running, reports release jobs, which must not wait for a rank.
        coming = counts.registered if self.facts.max_running is not None else 0
        return Contender(
            task=self.id,
            queue=self.queue,
            owner=self.owner_id,
            priority=self.priority,
            first_in_line=self.first_in_line,
            ready=counts.assigned + coming if claimable else 0,
            testing=self.facts.state is TaskState.TESTING,
            rank=self.rank,
        )


def read(
    conn: psycopg.Connection,
    only: int | None = None,
    *,
    but: Sequence[int] = (),
    unreadable: Callable[[int, Exception], None] | None = None,
) -> list[LiveTask]:
    """Return the live tasks with exact counts, by id: `only` one of them, or all `but` some.

    A task with a value of a newer version, which is unknown here, is left out if `unreadable` accepts it.
    """
    tasks = []
    for row in fetch(conn, SQL.live_tasks, {"only": only, "but": list(but)}):
        try:
            tasks.append(_live_task(row))
        except ValueError as error:
            if unreadable is None:
                raise
            unreadable(row["id"], error)
    return tasks


def _live_task(row: Mapping[str, Any]) -> LiveTask:
    limit = Limit(row["max_fails"], row["max_fails_percent"])
    facts = TaskFacts(
        state=TaskState(row["state"]),
        held=row["held"],
        test_jobs=row["test_jobs"],
        jobs=row["jobs"] - row["removed"],
        counts=Counts.without_removed(row, row["removed"]),
        pending_operation=PendingOperation(row["intent"]) if row["intent"] else None,
        max_fails=None if limit == Limit() else limit,
        forgiven=row["fails_forgiven"],
        waits=row["waits"],
        max_running=row["max_running"],
        delayed=row["delayed"],
        due=row["due"],
    )
    return LiveTask(
        id=row["id"],
        name=row["name"],
        queue=Queue(row["queue"]),
        owner_id=row["owner_id"],
        priority=row["priority"],
        first_in_line=row["first_in_line"],
        rank=row["rank"],
        test_for=row["test_for"],
        typical_seconds=row["typical_seconds"],
        facts=facts,
        owner=row["owner"],
        account=row["account"],
        image=row["image"],
        shares=row["shares"],
        limits=UserLimits(row["limit_cpus"], row["limit_gpu_milli"], row["limit_running"]),
        load=Load(
            facts.counts.living,
            int(row["cpus_used"]),
            int(row["gpu_milli_used"]),
            int(row["memory_used"]),
            row["exclusive_used"],
        ),
        request=_request(Queue(row["queue"]), *_resource_values(row)),
        placement=row["placement_id"],
        seconds=seconds_at_most(row["walltime"], row["timeout"], row["p95_seconds"], row["grace"]),
    )


@lru_cache
def _request(queue: Queue, *columns: Any) -> Request:
    """Return what a job takes, by the columns of its resources. Many tasks need the same."""
    return Request.of(queue, Resources(**dict(zip(_RESOURCES, columns, strict=True))))


_RESOURCES = tuple(field.name for field in fields(Resources))
_resource_values = itemgetter(*_RESOURCES)


def test_facts(conn: psycopg.Connection, task: int, test_for: float | None) -> TestFacts:
    """Return the state of a task's test."""
    params = {"task": task, "test_for": test_for}
    return TestFacts(**fetch(conn, SQL.test_facts, params)[0])


test_facts.__test__ = False  # type: ignore[attr-defined]


def update_durations(conn: psycopg.Connection, task: int, first: int = 0) -> None:
    """Record how long the done ones among 200 jobs took, from index `first` on: the median and the 95th percentile."""
    found = fetch(conn, SQL.durations, {"task": task, "first": first})[0]
    if found["typical"] is not None:
        conn.execute(SQL.set_durations, {"task": task, **found})


def set_ranks(conn: psycopg.Connection, ranks: Mapping[int, int | None]) -> None:
    if ranks:
        conn.execute(SQL.set_ranks, {"tasks": list(ranks), "ranks": list(ranks.values())})
