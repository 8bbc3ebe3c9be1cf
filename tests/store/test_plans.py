"""The plans of frequent statements, with 1,000 tasks and 1,000,000 jobs in the database.

Plans are read, not timed: no statement scans a big table, and the number of pages does not grow.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any
from unittest.mock import Mock
from uuid import uuid4

import psycopg
import pytest

from orchestra.domain.allowance import Allowance
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.resources import Room
from orchestra.domain.states import Cause, HoldCause, JobState, Queue
from orchestra.services import work
from orchestra.store.driver.database import connect
from orchestra.store.driver.sql import load
from orchestra.store.tasks import task_mutations
from orchestra.store.work import attempts, claims, reports
from orchestra.store.work.reports import JobEnd
from support.server import Server
from support.world import Pilot, World

TASKS, JOBS_EACH = 1_000, 1_000
BIG = {"job", "attempt", "event", "dataset_file"}

_FILL = """
set local statement_timeout = 0;
set local synchronous_commit = off;
alter table job disable trigger job_changed;
insert into job (task_id, ordinal, state, attempt, done_attempt)
select t.id, n,
    case when n < 300 then 'done' when n < 310 then 'failed' when n < 700 then 'assigned'
        else 'registered' end::job_state,
    case when n < 310 then 1 else 0 end, case when n < 300 then 1 end
from task t, generate_series(0, {last}) n;
alter table job enable trigger job_changed;
insert into task_count (task_id, stripe, done, failed, assigned, registered)
select id, s, case when s = 0 then 300 else 0 end, case when s = 0 then 10 else 0 end,
    case when s = 0 then 390 else 0 end, case when s = 0 then 300 else 0 end
from task, generate_series(0, 15) s;
insert into attempt (task_id, ordinal, number, token, keeper_id, node_id, request, run, is_test, folder_number,
    started_at, ended_at, cause, exit_status, accepted, seconds)
select t.id, n, 1, gen_random_uuid(), '{keeper}', {node}, 0, 1, false, 1, now(), now(), 'exit',
    case when n < 300 then 0 else 1 end, true, 1
from task t, generate_series(0, 309) n;
insert into event (kind, task_id, ordinal, attempt, from_state, to_state, who)
select 'job', t.id, n, 1, 'running', 'done', 'pilot gauss' from task t, generate_series(0, 309) n;
update task set state = 'RUNNING', rank = id, work_started_at = now();
"""


@pytest.fixture(scope="module")
def crowded(database_server: Server) -> Iterator[World]:
    """A database with a million jobs, many of them over; one for the whole file."""
    with (
        database_server.clone(f"crowded_{secrets.token_hex(4)}") as url,
        connect(url, statement_timeout=300) as conn,
    ):
        world = World(conn)
        pilot = world.pilot("filler")
        version = world.dataset_version(JOBS_EACH)
        conn.execute(
            "insert into task (name, owner_id, account, queue, command, config_version_id, volume, folder, jobs) "
            "select 'user.ana.t' || n, %s, 'ana', 'cpu', 'run %%DATA %%IN %%OUT', %s, '/v', '/v/t' || n, %s "
            "from generate_series(1, %s) n",
            [world.person(), version, JOBS_EACH, TASKS],
        )
        fill = _FILL.format(last=JOBS_EACH - 1, keeper=pilot.keeper, node=pilot.node)
        with conn.transaction():
            conn.execute(fill)
        conn.execute("vacuum analyze")
        yield world


@pytest.fixture
def pilot(crowded: World) -> Pilot:
    return crowded.pilot("reader")


def plan(conn: psycopg.Connection, statement: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Run a statement, roll it back, and return its plan."""
    with conn.transaction(force_rollback=True):
        row = conn.execute(
            "explain (analyze, buffers, format json) " + statement, params
        ).fetchone()
    assert row
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    return dict(found[0]["Plan"])


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes(child)


def indexes(found: dict[str, Any]) -> set[str]:
    return {node["Index Name"] for node in nodes(found) if "Index Name" in node}


def walked(found: dict[str, Any]) -> set[str]:
    """The big tables that a plan scans completely."""
    scans = {node.get("Relation Name") for node in nodes(found) if node["Node Type"] == "Seq Scan"}
    return {str(name) for name in scans} & BIG


def buffers(found: dict[str, Any]) -> int:
    return int(found["Shared Hit Blocks"]) + int(found["Shared Read Blocks"])


def _claim_params(pilot: Pilot, task: int) -> dict[str, Any]:
    return {
        "task": task,
        "first_in_line": None,
        "in_order": 0,
        "limit": 8,
        "keeper": pilot.keeper,
        "node": pilot.node,
        "request": 10**6,
    }


def test_a_claim_walks_the_index_made_for_it(crowded: World, pilot: Pilot) -> None:
    crowded.conn.execute("set enable_seqscan = off")  # as on a pilot's connection
    found = plan(crowded.conn, load("work/claims").claim_jobs, _claim_params(pilot, 500))
    crowded.conn.execute("reset enable_seqscan")
    assert walked(found) == set()
    assert "job_claimable" in indexes(found)
    sorted_rows = [n["Actual Rows"] for n in nodes(found) if n["Node Type"] == "Sort"]
    assert all(rows <= 8 for rows in sorted_rows), "only the answer is sorted"
    assert buffers(found) < 300


def _wanted(account: str) -> dict[str, Any]:
    """Tasks of an account, for a reserved node, with everything that can be asked for."""
    pilot = claims.ClaimingPilot(uuid4(), account, False, "^$", False, Room(8), 1)
    reserved = claims.Reserved(3, 60.0, Allowance(8, 0, None, None))
    rooms = [Room(8, memory_bytes=2**40)]
    return claims.Wanted(Queue.CPU, pilot, rooms, [3], [2], [2], reserved).params()


def test_the_candidates_of_a_claim_come_in_the_order_of_their_index(crowded: World) -> None:
    params = {**_wanted("ana"), "rank": 20, "after": 19, "limit": 16}
    found = plan(crowded.conn, claims.CANDIDATES, params)
    assert indexes(found) == {"task_rank"}
    assert not any(node["Node Type"] in ("Sort", "Seq Scan") for node in nodes(found))
    assert buffers(found) < 30


def test_what_limits_leave_is_counted_over_what_pilots_hold(crowded: World) -> None:
    """A look for each task of the owner, here all of them, whatever their jobs."""
    crowded.conn.execute("set enable_seqscan = off")  # as on a pilot's connection
    found = plan(crowded.conn, load("work/limits").left_to, {"owner": crowded.person()})
    crowded.conn.execute("reset enable_seqscan")
    assert walked(found) == set()
    assert "job_claimed" in indexes(found)
    assert buffers(found) < 6 * TASKS


def test_whether_tasks_have_jobs_is_one_look_each(crowded: World, pilot: Pilot) -> None:
    crowded.conn.execute("set enable_seqscan = off")  # as on a pilot's connection
    for tasks, most in (([500], 30), (list(range(256)), 256 * 12)):
        found = plan(crowded.conn, load("work/claims").tasks_with_jobs, {"tasks": tasks})
        assert walked(found) == set()
        assert indexes(found) == {"job_claimable", "job_floor_pkey"}
        assert buffers(found) < most
    crowded.conn.execute("reset enable_seqscan")


def test_the_first_statement_of_a_claim_is_a_few_look_ups(crowded: World, pilot: Pilot) -> None:
    """Also where its node is reserved."""
    params = {"node": pilot.node, "keeper": pilot.keeper, "request": 10**6}
    with crowded.conn.transaction(force_rollback=True):
        crowded.conn.execute("set local enable_seqscan = off")  # as on a pilot's connection
        crowded.conn.execute("insert into reservation values (%s, 500, null, 0, 0)", [pilot.node])
        found = plan(crowded.conn, load("work/claims").claiming_pilot, params)
    assert {"reservation_pkey", "person_limited"} <= indexes(found)
    assert buffers(found) < 30


def test_what_jobs_need_that_do_not_fit_now_is_one_walk(crowded: World) -> None:
    with crowded.conn.transaction(force_rollback=True):
        crowded.conn.execute("set local enable_seqscan = off")
        found = plan(crowded.conn, claims.NEEDS, _wanted("ana"))
    assert indexes(found) == {"task_rank"}
    assert buffers(found) < TASKS


def test_many_tasks_of_others_are_skipped_in_one_statement(crowded: World) -> None:
    params = {**_wanted("bea"), "rank": -(2**31), "after": -1, "limit": 16}
    assert buffers(plan(crowded.conn, claims.CANDIDATES, params)) < TASKS


def test_a_claim_touches_no_more_in_the_crowd_than_alone(
    crowded: World, pilot: Pilot, conn: psycopg.Connection
) -> None:
    alone = World(conn)
    task = alone.task(jobs=1_000, test_jobs=0)
    alone.conduct(rounds=2)
    conn.execute("vacuum analyze")
    lonely = plan(conn, load("work/claims").claim_jobs, _claim_params(alone.pilot(), task))
    crowd = plan(crowded.conn, load("work/claims").claim_jobs, _claim_params(pilot, 500))
    assert buffers(crowd) <= buffers(lonely) * 1.2
    # A plan made while tables are small is kept when they have grown.
    for found in (lonely, crowd):
        assert "job_claimable" in indexes(found)
        assert "job_pkey" not in indexes(found)


def _some_attempts(crowded: World) -> dict[str, list[Any]]:
    rows = crowded.conn.execute(
        "select task_id, ordinal, number, token from attempt where ordinal = 5 order by task_id limit 64"
    ).fetchall()
    names = ("tasks", "indexes", "numbers", "tokens")
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def test_a_report_finds_its_jobs_by_their_keys(crowded: World) -> None:
    params = {**_some_attempts(crowded), "count": 64, "keeper": None}
    found = plan(crowded.conn, load("work/reports").lock_attempts, params)
    assert walked(found) == set()
    assert {"job_pkey", "attempt_pkey"} <= indexes(found)


def test_ends_are_recorded_and_what_was_used_is_added_by_keys(crowded: World, pilot: Pilot) -> None:
    ends = []
    for task, index, number, token in zip(*_some_attempts(crowded).values(), strict=True):
        outcome = Outcome(AttemptKey(task, index, number, token), Cause.EXIT, exit_status=0)
        ends.append((outcome, JobEnd(JobState.RUNNING, JobState.DONE, False, False, False)))
    keeper = attempts.LockedKeeper(pilot.keeper, pilot.node, "reader", 1, 0, False, None)
    asked = Mock()
    reports.record_ends(asked, keeper, ends, who="pilot reader", sequence=1)
    crowded.conn.execute("set enable_seqscan = off")  # as on a pilot's connection
    found = plan(crowded.conn, *asked.execute.call_args.args)
    crowded.conn.execute("reset enable_seqscan")
    assert walked(found) == set()
    assert {"job_pkey", "attempt_pkey", "usage_daily_pkey"} <= indexes(found)


@pytest.mark.parametrize(
    ("file", "name"),
    [("claims", "granted"), ("attempts", "open_attempts"), ("attempts", "attempts_to_end")],
)
def test_what_a_pilot_asks_often_walks_open_attempts_alone(
    crowded: World, pilot: Pilot, file: str, name: str
) -> None:
    params = {"node": pilot.node, "keeper": pilot.keeper, "request": 3, "limit": 500}
    found = plan(crowded.conn, getattr(load(f"work/{file}"), name), params)
    assert walked(found) == set()
    assert "attempt_open" in indexes(found)
    assert buffers(found) < 50


@pytest.mark.parametrize(
    ("file", "name"),
    [("work/attempts", "attempts_to_recall"), ("tasks/tasks", "nodes_yet_to_answer")],
)
def test_what_is_claimed_of_a_held_task_is_found_among_what_keepers_hold(
    crowded: World, pilot: Pilot, file: str, name: str
) -> None:
    params = {"node": pilot.node, "tasks": [500]}
    with crowded.conn.transaction(force_rollback=True):
        assert task_mutations.hold(crowded.conn, 500, by="ana", why="later", cause=HoldCause.PERSON)
        found = plan(crowded.conn, getattr(load(file), name), params)
    assert walked(found) == set()
    assert buffers(found) < 50


@pytest.mark.parametrize(
    ("file", "name", "index"),
    [
        ("jobs/job_mutations", "release_jobs", "job_waiting"),
        ("jobs/job_mutations", "withdraw_test_jobs", "job_test"),
        ("jobs/job_mutations", "end_test_marks", "job_test"),
        ("jobs/job_mutations", "ask_jobs_to_end", "job_claimed"),
        ("jobs/job_mutations", "break_jobs", "job_pkey"),
        ("jobs/job_mutations", "retry_jobs", "job_pkey"),
        ("tasks/live_tasks", "test_facts", "job_test"),
        ("tasks/live_tasks", "durations", "attempt_pkey"),
    ],
)
def test_the_conductors_statements_walk_their_indexes(
    crowded: World, file: str, name: str, index: str
) -> None:
    params = {
        "task": 500, "limit": 100, "first": 0, "next": 100, "all": True, "turn": 0, "test_for": 60,
    }  # fmt: skip
    crowded.conn.execute("set enable_seqscan = on")
    found = plan(crowded.conn, getattr(load(file), name), params)
    assert walked(found) == set()
    assert index in indexes(found)


@pytest.mark.parametrize(
    ("file", "name", "index"),
    [
        ("work/attempts", "tasks_with_due_jobs", "job_not_before"),
        ("work/attempts", "end_back_off", "job_not_before"),
        ("work/attempts", "nodes_of_losses", "attempt_pkey"),
        ("work/attempts", "deleted_tasks", "event_of_task"),
        ("work/pilots", "silent_keepers", "attempt_open"),
        ("work/pilots", "keepers_to_close_out", "attempt_open"),
        ("work/pilots", "jobs_elsewhere", "attempt_open"),
        ("nodes/reservations", "at_work", "attempt_open"),
        ("cluster/cluster", "unreconciled_nodes", "attempt_open"),
    ],
)
def test_who_looks_after_leases_walks_what_is_open(
    crowded: World, pilot: Pilot, file: str, name: str, index: str
) -> None:
    params = {
        "limit": 100, "task": 500, "index": 5, "tasks": [500], "after": 0, "node": pilot.node, "machine": "m",
        "boot": "b", "host": "h",
    }  # fmt: skip
    with crowded.conn.transaction(force_rollback=True):
        crowded.conn.execute("update keeper set lease_until = now() - interval '1 s', epoch = 0")
        crowded.conn.execute(
            "update keeper set fenced_at = now(), fence_reason = 'x' where %s",
            [name == "keepers_to_close_out"],
        )
        found = plan(crowded.conn, getattr(load(file), name), params)
    assert walked(found) == set()
    assert index in indexes(found)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("places", "job_delayed"),
        ("first_claimable", "job_claimable"),
        ("release_due_jobs", "job_delayed"),
        ("release_next_jobs", "job_waiting"),
        ("release_next_test_jobs", "job_test"),
        ("withdraw_jobs", "job_claimable"),
    ],
)
def test_successors_are_found_by_their_indexes(crowded: World, name: str, index: str) -> None:
    params = {"task": 500, "tasks": [500], "limit": 1}
    with crowded.conn.transaction(force_rollback=True):
        crowded.conn.execute("update task set max_running = 2 where id = 500")
        found = plan(crowded.conn, getattr(load("jobs/running_limit"), name), params)
    assert walked(found) == set()
    assert index in indexes(found)
    assert buffers(found) < 200


def test_the_conductor_reads_counts_not_jobs(crowded: World) -> None:
    found = plan(crowded.conn, load("tasks/live_tasks").live_tasks, {"only": None, "but": []})
    read = {node.get("Relation Name") for node in nodes(found) if node["Actual Loops"]} - {None}
    assert read == {"task", "task_count", "task_after", "person"}


def test_what_waits_for_a_pool_is_read_from_counts(crowded: World) -> None:
    found = plan(crowded.conn, load("pools/demand").ready, {"queue": "cpu"})
    assert walked(found) == set()
    assert "task_rank" in indexes(found)
    read = {node.get("Relation Name") for node in nodes(found) if node["Actual Loops"]} - {None}
    assert read == {"task", "task_count", "person", "job"}
    assert {node["Index Name"] for node in nodes(found) if node.get("Relation Name") == "job"} == {
        "job_delayed"
    }
    assert buffers(found) < 25 * TASKS, "sixteen rows of counts for each task"


def test_the_allocations_of_a_pool_are_found_by_their_indexes(crowded: World) -> None:
    pool = 1
    with crowded.conn.transaction(force_rollback=True):
        crowded.conn.execute(
            "insert into pool (name, engine, spec, max_pilots, max_pending, min_work, idle) "
            "select 'p' || n, 'slurm', '{}', 10, 4, 120, 120 from generate_series(1, 20) n"
        )
        crowded.conn.execute(
            "insert into allocation (id, pool_id, engine_id, state, submitted_at, started_at, ended_at) "
            "select gen_random_uuid(), p.id, n::text, 'ENDED', now() - n * interval '1 minute', now(), now() "
            "from pool p, generate_series(1, 1000) n"
        )
        crowded.conn.execute(
            "insert into node (name, cpu_enabled, cpu_max, gpu_enabled, gpu_max, pool_id, allocation_id, gone_at) "
            "select 'gone-' || id, 1, 1, 0, 0, pool_id, id, now() from allocation limit 10000"
        )
        crowded.conn.execute("analyze allocation, node")
        pool = crowded._one("select min(id) from pool")
        ids = [row[0] for row in crowded.conn.execute("select id from allocation limit 10")]
        for name, index in (
            ("waits", "allocation_of_pool"),
            ("leftovers", "allocation_of_pool"),
            ("ran_first_job", "allocation_of_pool"),
            ("pilots", "node_of_allocation"),
        ):
            params = {"pool": pool, "never_accepted": "", "ids": ids}
            found = plan(crowded.conn, getattr(load("pools/allocations"), name), params)
            assert index in indexes(found), name
            assert buffers(found) < (60 if name != "leftovers" else 1500), name


def test_the_slots_of_a_changed_task_are_counted_over_what_keepers_hold(crowded: World) -> None:
    with crowded.conn.transaction(force_rollback=True):
        crowded.conn.execute("update task set revision = 2 where id = 500")
        found = plan(crowded.conn, load("tasks/live_tasks").live_tasks, {"only": 500, "but": []})
    assert walked(found) == set()
    assert buffers(found) < 100


def test_a_claim_is_right_in_the_crowd(crowded: World, pilot: Pilot) -> None:
    """Not only its plan: it returns the first claimable jobs of the best task."""
    with crowded.conn.transaction(force_rollback=True):
        answer = work.claim(crowded.conn, pilot.agent, pilot.keeper, 1, Room(4))
        assert [(g.key.task_id, g.key.index) for g in answer.grants] == [
            (0, 310),
            (0, 311),
            (0, 312),
            (0, 313),
        ]
