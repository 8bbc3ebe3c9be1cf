"""Shared conditions are inlined: none of them costs a call or hides an index."""

from __future__ import annotations

from itertools import product
from typing import LiteralString

import psycopg
import pytest

from orchestra.domain.expected_time import can_end_within, expected_seconds

PREDICATES: dict[LiteralString, LiteralString] = {
    "is_claimable": "job",
    "is_open": "attempt",
    "has_succeeded": "attempt",
    "is_online": "pilot",
    "current_troubles": "pilot",
    "is_pending": "outbox",
    "slots_of": "task",
    "has_limits": "person",
    "is_drained": "node",
    "drain_in": "node",
}


def _plan(conn: psycopg.Connection, query: LiteralString) -> str:
    rows = conn.execute("explain (verbose, costs off) " + query)
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("name", PREDICATES)
def test_a_condition_on_a_row_is_read_from_its_columns(
    conn: psycopg.Connection, name: LiteralString
) -> None:
    table = PREDICATES[name]
    shown = _plan(
        conn, f"select {name}(x) from (select) one left join {table} x on {name}(x) is not null"
    )
    assert name not in shown
    assert "x.*" not in shown


def test_the_counts_of_a_task_are_read_by_its_key(conn: psycopg.Connection) -> None:
    shown = _plan(conn, "select c.* from task t cross join lateral status_counts(t.id) c")
    assert "status_counts" not in shown
    assert "task_count" in shown


def test_indexes_are_found_through_conditions(conn: psycopg.Connection) -> None:
    with conn.transaction():
        conn.execute("set local enable_seqscan = off")
        assert "attempt_open" in _plan(
            conn, "select from attempt a where node_id = 1 and is_open(a)"
        )
        assert "job_claimable" in _plan(
            conn, "select from job where task_id = 1 and turn <= 0 and is_claimable(job)"
        )
        assert "outbox_waiting" in _plan(conn, "select from outbox o where is_pending(o)")


def test_the_trigger_on_jobs_joins_by_hashes(conn: psycopg.Connection) -> None:
    """What a statement has changed has no keys, and may be 5,000 rows; pilots' connections join by keys alone."""
    row = conn.execute("select proconfig from pg_proc where proname = 'job_changed'").fetchone()
    assert row is not None
    assert sorted(row[0]) == ["enable_hashjoin=on", "enable_nestloop=off"]


def test_how_long_a_job_may_take_is_the_same_here_and_there(conn: psycopg.Connection) -> None:
    shown = _plan(conn, "select expected_seconds(walltime, timeout, p95_seconds) from task")
    assert "expected_seconds(" not in shown
    for given in product((None, 7.0), (None, 60.0), (None, 100.0)):
        row = conn.execute("select expected_seconds(%s, %s, %s)", given).fetchone()
        assert row == (expected_seconds(*given),)
    assert expected_seconds(None, None, 100.0) == 125.0
    assert can_end_within(125.0, 5.0, 130.0)
    assert not can_end_within(125.0, 5.0, 129.9)
    assert can_end_within(None, 5.0, 0.0)
