"""Collects the facts for the checks: from the database, from the records of the jobs, and from the folders."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from orchestra.domain.resources import Request
from orchestra.domain.states import ENDED_TASK_STATES
from ordeal.facts import Acceptance, Attempt, Event, Job, JobName, Life, Move, Notification, Task

_BARE = "replace(t.name, 'user.ana.', '')"


def lives(truth: Path) -> list[Life]:
    """Read the records of the jobs."""
    found = []
    for path in sorted(truth.iterdir()):
        if path.suffix != ".lock":
            task, _, index = path.name.rpartition("-")
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found += _lives((task, int(index)), lines)
    return found


def _lives(job: JobName, lines: list[dict[str, Any]]) -> list[Life]:
    by_token: dict[str, dict[str, Any]] = defaultdict(dict)
    for line in lines:
        by_token[line["token"]][line["what"]] = line
    return [
        Life(
            job=job,
            attempt=both["start"]["attempt"],
            token=token,
            began=both["start"]["at"],
            folder=both["start"]["folder"],
            beside=tuple(both["start"]["beside"]),
            ended=both["end"]["at"] if "end" in both else None,
            status=both["end"]["status"] if "end" in both else None,
        )
        for token, both in by_token.items()
    ]


def tasks(conn: psycopg.Connection, requests: Mapping[str, Request]) -> list[Task]:
    """Read the tasks, with the reasons for which Orchestra held them."""
    rows = conn.execute(
        f"select {_BARE}, t.state::text, t.resume, t.timeout is not null, array("
        "  select coalesce(e.why, '') from event e"
        "  where e.task_id = t.id and e.kind = 'hold' and e.to_state = 'held' and e.who <> 'ana'"
        ") from task t order by t.id"
    )
    return [
        Task(name, state, resume, timed, tuple(holds), requests[name])
        for name, state, resume, timed, holds in rows
    ]


def jobs(conn: psycopg.Connection) -> list[Job]:
    """Read the jobs, with the targets of their symlinks."""
    rows = conn.execute(
        f"select {_BARE}, j.ordinal, j.state::text, j.attempt, j.done_attempt, t.folder "
        "from job j join task t on t.id = j.task_id order by j.task_id, j.ordinal"
    )
    return [
        Job((task, index), state, attempt, done, _linked(Path(folder), index))
        for task, index, state, attempt, done, folder in rows
    ]


def _linked(folder: Path, index: int) -> int | None:
    try:
        return int((folder / f"job_configId_{index}").readlink().name)
    except OSError:
        return None


def attempts(conn: psycopg.Connection) -> list[Attempt]:
    """Read the attempts."""
    rows = conn.execute(
        f"select {_BARE}, a.ordinal, a.number, a.token::text, a.keeper_id::text, a.started_at is not null, "
        "a.ended_at is not null, a.lost_at is not null, a.accepted, a.cause, a.exit_status, a.signal, a.reason, "
        "a.folder_number from attempt a join task t on t.id = a.task_id order by a.task_id, a.ordinal, a.number"
    )
    return [Attempt((task, index), *rest) for task, index, *rest in rows]


def events(conn: psycopg.Connection) -> list[Event]:
    """Read the events of tasks and jobs, in order."""
    rows = conn.execute(
        f"select e.xid::text::bigint, e.kind, {_BARE}, e.ordinal, e.from_state, e.to_state "
        "from event e join task t on t.id = e.task_id order by e.id"
    )
    return [Event(*row) for row in rows]


def moves(conn: psycopg.Connection) -> list[Move]:
    """Read what the triggers saw."""
    rows = conn.execute(
        f"select t.xid::text::bigint, {_bare('t.task')}, t.ordinal, t.before, t.after "
        "from audit_move t order by t.id"
    )
    return [Move(*row) for row in rows]


def notifications(conn: psycopg.Connection) -> list[Notification]:
    """Read the notifications of ends, without those of holds."""
    ends = [state.value for state in sorted(ENDED_TASK_STATES)]
    rows = conn.execute(
        f"select {_BARE}, o.payload ->> 'outcome' from outbox o join task t on t.id = o.task_id "
        "where o.kind = 'task' and o.payload ->> 'outcome' = any(%s) order by o.id",
        [ends],
    )
    return [Notification(task, outcome) for task, outcome in rows]


def acceptances(conn: psycopg.Connection) -> list[Acceptance]:
    """Read what the triggers saw."""
    rows = conn.execute(
        f"select {_bare('task')}, ordinal, number, latest, success from audit_acceptance order by id"
    )
    return [Acceptance((task, index), *rest) for task, index, *rest in rows]


def _bare(column: str) -> str:
    return f"replace({column}, 'user.ana.', '')"


def at_rest(conn: psycopg.Connection) -> list[str]:
    """Return what has not ended yet, in words."""
    rows = conn.execute(
        f"select {_BARE} || ' is ' || t.state || case when t.held_at is not null then ', held: ' || t.held_reason "
        f"else '' end from task t where t.ended_at is null or t.intent is not null "
        f"union all select {_BARE} || '/' || a.ordinal || '/' || a.number || ' is open' "
        "from attempt a join task t on t.id = a.task_id where a.ended_at is null and a.lost_at is null"
    )
    return [text for (text,) in rows]
