"""What `task list`, `task show` and `job list` read does not grow with the number of jobs.

The database holds 1,000 tasks with 1,000,000 jobs: a large one with jobs in all states, and small ones. Plans are
read, not timed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestra.domain.failure_reasons import Reason
from orchestra.domain.states import Cause, JobStatus, Queue
from orchestra.services.jobs.search import LOOKED
from orchestra.store.cluster.figures import EVENTS, LATELY
from orchestra.store.driver.columns import Ints
from orchestra.store.driver.database import connect
from orchestra.store.driver.sql import load
from orchestra.store.jobs import jobs
from support.plans import plan
from support.server import Server
from support.world import World

SMALL_TASKS = 999
JOBS = 1_000_000 - 3 * SMALL_TASKS
TASKS, DATASETS = load("tasks/tasks"), load("datasets")

# Done up to 50,000 with a failure here and there; some run, some are assigned, most are registered.
_FILL = """
set local statement_timeout = 0;
insert into dataset_file (version_id, ordinal, path, size, mtime_ns, sha256)
select 2, n, 'config.' || n || '.json', 10, 0, sha256(n::text::bytea) from generate_series(1, {jobs} - 1) n;
update dataset_version set files = {jobs} where id = 2;
update task set jobs = {jobs} where id = {task};
delete from job where task_id = {task};
insert into job (task_id, ordinal, state, attempt, done_attempt, keeper_id)
select {task}, n,
    case when n < 50000 and n % 1000 = 7 then 'failed' when n < 50000 then 'done'
        when n < 50008 then 'running' when n < 80000 then 'assigned' else 'registered' end::job_state,
    case when n < 50008 then 1 else 0 end,
    case when n < 50000 and n % 1000 <> 7 then 1 end,
    case when n between 50000 and 50007 then '{keeper}'::uuid end
from generate_series(0, {jobs} - 1) n;
insert into attempt (task_id, ordinal, number, token, keeper_id, node_id, request, run, is_test, folder_number,
    started_at, ended_at, cause, exit_status, accepted, seconds, cpu_seconds, log_tail)
select {task}, n, 1, gen_random_uuid(), '{keeper}', {node}, 0, 1, false, 1, now(),
    case when n < 50000 then now() end, case when n < 50000 then 'exit' end,
    case when n < 50000 then case when n % 1000 = 7 then 3 else 0 end end, case when n < 50000 then true end, 1, 1,
    'last words'::bytea
from generate_series(0, 50007) n;
insert into attempt_metrics (task_id, ordinal, number, text, numbers)
select {task}, n, 1, '{{"loss": 1}}', '{{"loss": 1}}' from generate_series(0, 49999) n where n % 1000 <> 7;
insert into dataset_text (version_id, ordinal, text)
select 2, n, '{{"lr": 1}}' from generate_series(0, 99999) n;
insert into event (kind, task_id, ordinal, attempt, from_state, to_state, who)
select 'job', {task}, n, 1, 'running', 'done', 'pilot gauss' from generate_series(0, 49999) n;
insert into event (kind, task_id, from_state, to_state, who, jobs)
select 'release', {task}, 'registered', 'assigned', 'orchestra', 5000 from generate_series(0, 29) n;
delete from task_count where task_id = {task};
insert into task_count (task_id, stripe, done, failed, running, assigned, registered)
select {task}, s, case when s = 0 then 49950 else 0 end, case when s = 0 then 50 else 0 end,
    case when s = 0 then 8 else 0 end, case when s = 0 then 29992 else 0 end,
    case when s = 0 then {jobs} - 80000 else 0 end
from generate_series(0, 15) s;
update task set state = 'RUNNING', rank = id + 1, work_started_at = now();
"""


@pytest.fixture(scope="module")
def crowded(database_server: Server) -> Iterator[World]:
    """One large task, with id 0, and many small ones; one database for the whole file."""
    name = f"crowded_views_{secrets.token_hex(4)}"  # each of pytest's workers creates its own
    with database_server.clone(name) as url, connect(url, statement_timeout=300) as conn:
        world = World(conn)
        pilot = world.pilot()
        task = world.task(1, name="user.ana.large")
        for number in range(SMALL_TASKS):
            world.task(3, name=f"user.ana.small{number}")
        with conn.transaction():
            fill = _FILL.format(task=task, jobs=JOBS, keeper=pilot.keeper, node=pilot.node)
            conn.execute(fill)
        conn.execute("vacuum analyze")
        yield world


@pytest.mark.parametrize("status", [None, *JobStatus])
@pytest.mark.parametrize("first", [0, 49_000, 120_000])
def test_a_page_of_jobs_is_read_by_its_key(
    crowded: World, status: JobStatus | None, first: int
) -> None:
    params = {"task": 0, "first": first, "limit": 51, "status": status, "state": status}
    found = plan(crowded.conn, jobs.listing_statement(status), params)
    assert found.walked == set()
    if status is not JobStatus.DONE:  # few pages are read only if most jobs are done
        assert found.buffers < 1_200, found.root


def test_a_page_of_many_done_jobs_is_read_quickly(crowded: World) -> None:
    params = {"task": 0, "first": 0, "limit": 51}
    found = plan(crowded.conn, jobs.listing_statement(JobStatus.DONE), params)
    assert found.walked == set()
    assert found.buffers < 1_200


def test_few_done_jobs_are_found_by_their_attempts(crowded: World) -> None:
    # The other tasks have no attempts, like a new task.
    params = {"task": 5, "first": 0, "limit": 51}
    found = plan(crowded.conn, jobs.listing_statement(JobStatus.DONE, few_done=True), params)
    assert found.walked == set()
    assert found.buffers < 50


SEARCHES: dict[str, dict[str, Any]] = {
    "of a node": {"node": "gauss"},
    "of another node": {"node": "noether"},
    "by config": {"config": "^config[.]7[.]json$"},
    "by time": {"since": datetime.now(UTC) + timedelta(days=1)},
    "by reason and last line": {"reason": Reason(Cause.EXIT, 3), "line": "last words$"},
}


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("status", [None, JobStatus.DONE, JobStatus.FAILED, JobStatus.ASSIGNED])
def test_a_search_reads_what_it_looks_at_by_keys(
    crowded: World, status: JobStatus | None, name: str
) -> None:
    page = {"task": 0, "first": 20_000, "limit": LOOKED, "most": 51, "state": status}
    params = {"status": status, **page, **jobs.Filter(**SEARCHES[name]).params}
    found = plan(crowded.conn, jobs.search_statement(status), params)
    assert found.walked == set(), found.root
    assert found.buffers < 10 * LOOKED, found.root


def test_the_list_of_tasks_reads_stripes_not_jobs(crowded: World) -> None:
    statement = TASKS.select_task + "\n" + TASKS.listed
    found = plan(crowded.conn, statement, {"owner": "ana", "all": False})
    assert found.walked == set()
    assert found.buffers < 10 * SMALL_TASKS
    assert not found.indexes & {"job_pkey", "attempt_pkey", "event_pkey"}


def test_a_look_for_changes_reads_what_is_new_alone(crowded: World) -> None:
    """Although a transaction has been open since before all of the events."""
    row = crowded.conn.execute("select pg_snapshot_xmax(pg_current_snapshot())").fetchone()
    assert row
    cursor = {"cursor": f"5:{row[0]}:5", "limit": 20_000, "tasks": [0]}
    for statement in (load("cluster/watching").fresh, load("cluster/events").changed_since):
        found = plan(crowded.conn, statement, cursor)
        assert found.walked == set()
        assert found.indexes == {"event_by_transaction"}
        assert found.buffers < 20
    found = plan(crowded.conn, load("cluster/watching").counts, {"all": True, "tasks": []})
    assert found.walked == set()
    assert found.buffers < 10 * SMALL_TASKS


def test_figures_do_not_grow_with_the_number_of_jobs(crowded: World) -> None:
    found = plan(crowded.conn, load("cluster/figures").jobs, {})
    assert found.walked == set()
    assert found.buffers < 10 * SMALL_TASKS
    params = {"events": EVENTS, "seconds": LATELY}
    found = plan(crowded.conn, load("cluster/figures").attempts, params)
    assert found.walked == set(), found.root
    assert found.buffers < 10 * EVENTS


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "one task": (TASKS.select_task + "\n" + TASKS.with_id, {"task": 0}),
    "events": (load("cluster/events").of_task, {"task": 0, "limit": 20}),
    "changes": (
        load("cluster/events").changed_since,
        {"cursor": "900000000:900000000:", "tasks": [0]},
    ),
    "all events": (
        load("cluster/events").after,
        {"transaction": "0", "id": 0, "limit": 100},
    ),
    "failures": (TASKS.failed_attempts, {"task": 0, "limit": 1000, "bytes": 1000}),
    "examples of failures": (
        TASKS.failure_examples,
        {"task": 0, "indexes": Ints([7, 1007]), "numbers": Ints([1, 1])},
    ),
    "what running jobs have used": (jobs.SQL.used, {"task": 0, "indexes": None}),
    "inputs": (TASKS.inputs, {"task": 0}),
    "config": (TASKS.config, {"task": 0}),
    "effort": (TASKS.effort, {"task": 0, "limit": 1_000}),
    "any claimed": (TASKS.any_claimed, {"task": 0}),
    "running": (TASKS.running_jobs, {"queue": Queue.CPU, "limit": 1000}),
    "waiting": (TASKS.waiting_jobs, {"queue": Queue.CPU, "limit": 10}),
    "first outputs": (TASKS.first_outputs, {"task": 0, "limit": 3}),
    "readers": (TASKS.outputs_users, {"folder": "/data/ana/user.ana.large"}),
    "offers": (TASKS.offers, {"queue": Queue.CPU}),
    "one job": (
        "with chosen as (" + load("jobs/jobs").choose_one + ") " + load("jobs/jobs").show_chosen,
        {"task": 0, "index": 120_000},
    ),
    "running jobs": (load("jobs/jobs").select_running, {"task": 0}),
    "attempts": (load("jobs/jobs").attempts, {"task": 0, "index": 40_000}),
    "log": (load("jobs/jobs").log_tail, {"task": 0, "index": 40_000, "number": 1}),
    "log place": (load("jobs/log_parts").place, {"task": 0, "index": 40_000, "number": 1}),
    "files": (DATASETS.files, {"version": 2, "first": 100_000, "limit": 20}),
    "live users": (DATASETS.live_users, {"dataset": 1}),
    "ended users": (DATASETS.ended_users, {"dataset": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_shown_of_one_thing_touches_few_pages(crowded: World, name: str) -> None:
    statement, params = CASES[name]
    found = plan(crowded.conn, statement, params)
    assert found.walked == set(), found.root
    assert found.buffers < 2_500, found.root


@pytest.mark.parametrize("name", ["attempt_folders", "superseded_folders"])
def test_folders_are_read_in_ranges(crowded: World, name: str) -> None:
    params = {"task": 0, "first": 20_000, "next": 20_500}
    found = plan(crowded.conn, getattr(load("jobs/jobs"), name), params)
    assert found.walked == set()
    assert found.buffers < 2_500


@pytest.mark.parametrize(
    ("which", "chosen", "pages"),
    [
        ("of_page", {"first": 20_000, "next": 20_500}, 15),
        ("of_jobs", {"indexes": list(range(0, 50_000, 100))}, 20),
    ],
)
def test_results_are_read_by_key_too(
    crowded: World, which: str, chosen: dict[str, Any], pages: int
) -> None:
    statements = load("jobs/jobs")
    statement = statements.select_results + "\n" + getattr(statements, which)
    found = plan(crowded.conn, statement, {"task": 0, "version": 2, **chosen})
    assert found.walked <= {"node"}, found.root
    assert found.buffers < pages * 500  # a few pages for each job, whatever the task's size
