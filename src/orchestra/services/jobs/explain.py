"""Gathers the facts for `domain/explanation`: why a job waits, where it runs, what happened to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isfinite
from pathlib import PurePosixPath

import psycopg

from orchestra.domain.explanation import Facts
from orchestra.domain.explanation import explain as in_sentences
from orchestra.domain.models.jobs import Job, JobPaths
from orchestra.domain.models.tasks import Task
from orchestra.domain.models.users import NO_LIMITS
from orchestra.domain.node_timeline import Timeline
from orchestra.domain.offers import Need
from orchestra.domain.outcome_text import last_line
from orchestra.domain.pools.prospects import fitting, why_no_pilot
from orchestra.domain.resources import Request
from orchestra.domain.states import JobState, TaskState
from orchestra.domain.user_limits import reached
from orchestra.interface.answers.explanations import Explained
from orchestra.services.jobs import views
from orchestra.services.prospects import prospects
from orchestra.services.tasks import order, standstill
from orchestra.store import users as user_store
from orchestra.store.cluster import leader
from orchestra.store.driver.database import read_one_snapshot
from orchestra.store.jobs import explain as store
from orchestra.store.jobs import jobs as job_store
from orchestra.store.nodes import queues, reservations
from orchestra.store.tasks import live_tasks
from orchestra.store.tasks import tasks as task_store

COUNTED = 50_000
"""Jobs ahead that are counted at most; as many jobs of a task are released at a time."""
FAILED_TESTS = 3
_LEAST_COST = 0.001


def explain(
    conn: psycopg.Connection, text: str, may_read_logs_of: Callable[[str], bool] = lambda _: True
) -> Explained:
    """Explain a job, `TASK/N`, from one snapshot of the database.

    `may_read_logs_of`: whether lines of the logs of a user's jobs are part of the explanation.

    Raises:
        BadInput: the text is not the address of one job.
        NotFound: there is no such task or job.
    """
    with conn.transaction():
        read_one_snapshot(conn)
        facts = gather(conn, text)
    if not may_read_logs_of(facts.task.owner):
        tests = tuple(replace(each, log_tail=None) for each in facts.failed_tests)
        facts = replace(facts, last_line=None, failed_tests=tests)
    return Explained(facts, in_sentences(facts))


def gather(conn: psycopg.Connection, text: str) -> Facts:
    """Return the facts that an explanation of a job needs; only what its state needs is read."""
    report = views.show(conn, text)
    task, job = report.task, report.job
    facts = Facts(
        now=task_store.now(conn),
        task=task,
        job=job,
        result=str(JobPaths(PurePosixPath(task.folder), job.index).link),
        attempts=report.attempts,
        held_up=report.waits,
        stuck=leader.troubles(conn).of_task(task.id),
    )
    match job.state:
        case JobState.REGISTERED | JobState.ASSIGNED if not job.claimed:
            return _of_waiting(conn, facts)
        case JobState.REGISTERED | JobState.ASSIGNED | JobState.RUNNING:
            return _of_living(conn, facts)
        case JobState.KILLED if not job.removed:
            return replace(
                facts, asked=store.kill_request(conn, task.id, job.index, job.changed_at)
            )
        case JobState.BROKEN:
            return replace(
                facts, failed_tests=tuple(store.failed_tests(conn, task.id, limit=FAILED_TESTS))
            )
        case JobState.FAILED:
            return replace(facts, last_line=_last_line(conn, job))
        case JobState.DONE | JobState.KILLED:
            return facts


def _of_waiting(conn: psycopg.Connection, facts: Facts) -> Facts:
    task, job = facts.task, facts.job
    turn = store.turn(conn, task.id, job.index)
    limit = COUNTED + 1
    before = store.before(conn, task.id, job.index, job.state, turn.turn, limit=limit)
    work = store.at_work(conn, task.queue)
    pools, need = prospects(conn, task.queue), Need.of(task)
    settles, stand = standstill.state(conn), order.standing(conn)
    facts = replace(
        facts,
        not_before=turn.not_before,
        before=min(before, COUNTED),
        many_before=before > COUNTED,
        offers=tuple(queues.offers(conn, task.queue, store.in_use(work))),
        competitors=tuple(
            replace(each, cost=max(stand.costs.get(each.task, 1.0), _LEAST_COST))
            for each in store.competitors(conn, task.queue, work)
        ),
        shares=order.shares_by_name(stand),
        busy=tuple(each.at_work for each in work),
        free_in=_free_in(conn, task),
        limit=_limit_reached(conn, task),
        conductor=queues.conductor_alive(conn),
        settling=str(settles) if settles else None,
        pools=tuple(each.pool.name for each in fitting(pools, need)),
        no_pilot=tuple(why_no_pilot(pools, need)),
    )
    if task.state is TaskState.TESTING:
        facts = replace(facts, test=live_tasks.test_facts(conn, task.id, task.policy.test_for))
    if task.state is TaskState.KILL:
        facts = replace(facts, asked=store.kill_request(conn, task.id, job.index, facts.now))
    return facts


def _free_in(conn: psycopg.Connection, task: Task) -> dict[str, float]:
    """Return by node the seconds until there is room for a job of a task, as far as they are known."""
    request = Request.of(task.queue, task.resources)
    found = {}
    for serving in reservations.serving_nodes(conn).nodes:
        start = Timeline(serving.host).start(request, 0.0)
        if start and isfinite(start[0]):
            found[serving.node.name] = start[0]
    return found


def _limit_reached(conn: psycopg.Connection, task: Task) -> str | None:
    """Return the limit of a task's owner that keeps another job from starting, in words."""
    owner = user_store.by_name(conn, task.owner)
    if owner is None or owner.limits == NO_LIMITS:
        return None
    request = Request.of(task.queue, task.resources)
    return reached(owner.limits, store.in_use_of(conn, task.owner), request)


def _of_living(conn: psycopg.Connection, facts: Facts) -> Facts:
    task, job = facts.task, facts.job
    keeper = store.turn(conn, task.id, job.index).keeper_id
    if task.image and not (facts.latest and facts.latest.started_at):
        facts = replace(facts, offers=tuple(queues.offers(conn, task.queue)))
    if keeper:
        facts = replace(facts, keeper_lease=store.keeper_lease(conn, keeper))
    if job.kill_requested:
        facts = replace(facts, asked=store.kill_request(conn, task.id, job.index, facts.now))
    return facts


def _last_line(conn: psycopg.Connection, job: Job) -> str | None:
    tail, _ = job_store.log_tail(conn, job.task_id, job.index, job.attempts)
    return last_line(tail)
