"""The full report on one task."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg

from orchestra.domain import file_waits
from orchestra.domain.estimates import estimate_end
from orchestra.domain.models.tasks import Task
from orchestra.domain.wording import Sentence
from orchestra.interface.answers.task_reports import TaskReport
from orchestra.services.mail import mails
from orchestra.services.prospects import prospects
from orchestra.services.tasks import selection, standstill, waiting
from orchestra.services.tasks.failures import has_failures
from orchestra.services.users import users
from orchestra.store.cluster import leader
from orchestra.store.nodes import queues, unresponsive_folders
from orchestra.store.tasks import facts, sources
from orchestra.store.tasks import tasks as store

EVENTS = 20


def show(conn: psycopg.Connection, word: str, *, failures: bool = True) -> TaskReport:
    """Return the report on one task, with its failures if these are asked for.

    Raises:
        NotFound: there is no task with that number or name.
    """
    task, now = selection.find(conn, word), store.now(conn)
    cpu, exact = _cpu_seconds(conn, task)
    return TaskReport(
        task=task,
        now=now,
        config=sources.config(conn, task.id),
        inputs=tuple(sources.inputs(conn, task.id)),
        events=tuple(facts.events(conn, task.id, limit=EVENTS)),
        failures=tuple(facts.failures(conn, task.id)) if failures and has_failures(task) else (),
        waiting=waiting_reasons(conn, task),
        ends=estimate_end(task, now),
        cpu_seconds=cpu,
        cpu_is_exact=exact,
        mails=tuple(mails.of_task(conn, task.id)),
        owner_wants_mail=users.get(conn, task.owner).mail,
        doubts=facts.doubts(conn, task.id),
    )


def waiting_reasons(conn: psycopg.Connection, task: Task) -> tuple[Sentence, ...]:
    """Return the reasons in sentences why a task makes no progress or its jobs do not start."""
    if not task.state.is_live and task.pending_operation is None:
        return ()
    stuck = leader.troubles(conn).of_task(task.id)
    told = (stuck,) if stuck else ()
    if not task.state.is_live:
        return told
    if settles := standstill.state(conn):
        return (f"Nothing starts at present because the database is recovering: {settles}.",)
    reasons = waiting.reasons(
        task,
        queues.offers(conn, task.queue),
        conductor=queues.conductor_alive(conn),
        pools=prospects(conn, task.queue),
    )
    return (*told, *_silent_folders(conn, task), *reasons)


def _silent_folders(conn: psycopg.Connection, task: Task) -> Iterator[str]:
    """Report the nodes on which a folder that a task needs does not respond."""
    if not (found := unresponsive_folders.by_node(conn)):
        return
    config, read = sources.config(conn, task.id), sources.inputs(conn, task.id)
    needs = [config.root, *(source.root for source in read)]
    for node, silent in found:
        yield from file_waits.of_node(node, silent, task.volume, needs)


def _cpu_seconds(conn: psycopg.Connection, task: Task) -> tuple[float | None, bool]:
    """Return the CPU time of all attempts, and whether it is exact; large tasks are sampled."""
    effort = facts.effort(conn, task.id)
    if effort.cpu_seconds is None or effort.attempts < facts.EFFORT_SAMPLE:
        return effort.cpu_seconds, True
    return effort.cpu_seconds / effort.attempts * max(task.counts.ended, effort.attempts), False
