"""Why jobs failed, in words and in groups: what `task show` and a mail about a task say."""

from __future__ import annotations

import psycopg

from orchestra.domain.endings import in_words as in_words
from orchestra.domain.endings import leaves_log
from orchestra.domain.human import one_line
from orchestra.interface.answers.task_reports import FailureGroup
from orchestra.store import jobs as job_store
from orchestra.store import task_facts


def groups(conn: psycopg.Connection, task: int) -> list[FailureGroup]:
    """Give the failures of a task by kind, the most frequent first."""
    return [group(conn, task, found) for found in task_facts.failures(conn, task)]


def group(
    conn: psycopg.Connection, task: int, found: task_facts.FailureGroup, *, lines: int = 0
) -> FailureGroup:
    """Give a kind of failure with its example, and the last `lines` of the example's log."""
    job = job_store.by_key(conn, task, found.example)
    assert job is not None  # it was just found
    tail, _ = job_store.log_tail(conn, task, found.example, job.attempts)
    return FailureGroup(
        what=in_words(found.cause, found.exit_status, found.signal),
        jobs=found.jobs,
        example=found.example,
        config=job.config,
        node=job.node,
        reason=job.reason,
        last_line=last_line(tail),
        tail=last_lines(tail, lines),
        has_log=leaves_log(found.cause, tail),
    )


def last_line(tail: bytes | None) -> str | None:
    """Give the last line of a log that says something, safe to print."""
    lines = (tail or b"").decode(errors="replace").splitlines()
    spoken = next((line.strip() for line in reversed(lines) if line.strip()), None)
    return one_line(spoken, 100) if spoken else None


def last_lines(tail: bytes | None, count: int) -> tuple[str, ...]:
    """Give the last lines of a log without empty ones at its end, safe to print; they keep their indent."""
    lines = (tail or b"").decode(errors="replace").rstrip().splitlines()
    chosen = lines[-count:] if count else []
    return tuple(one_line(line.rstrip().expandtabs(4), 160) for line in chosen)
