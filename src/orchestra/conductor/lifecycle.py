"""The duty that advances tasks: the test gate, ends, operations on many jobs, releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import psycopg

from orchestra.conductor.isolation import Isolation
from orchestra.conductor.term import Transact
from orchestra.conductor.wakeups import Wakeups
from orchestra.domain.errors import NotFound, Refused, Superseded
from orchestra.domain.lifecycle import CHUNK, TaskFacts, TestFacts, decide, refill
from orchestra.domain.states import Queue, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services.tasks import chains, lifecycle, running_limit
from orchestra.store.cluster import events, leader
from orchestra.store.jobs import job_mutations
from orchestra.store.tasks import live_tasks, task_mutations

WHO = "orchestra"


def advance(
    conn: psycopg.Connection,
    transact: Transact,
    tasks: Sequence[live_tasks.LiveTask],
    wakeups: Wakeups | None = None,
    isolation: Isolation | None = None,
) -> set[Queue]:
    """Advance every live task as far as it goes for now; return the queues in which work has appeared.

    A failure in one task does not stop the others. Operations on many jobs come last: a chunk takes long, and
    another task may reach its limit of failures in the meantime.
    """
    wakeups, isolation = wakeups or Wakeups(lambda _: None), isolation or Isolation()
    woken = set()
    for task in sorted(tasks, key=lambda task: task.facts.pending_operation is not None):
        step = partial(_advance_task, conn, transact, task, wakeups)
        if isolation.attempt(conn, task.id, step):
            woken.add(task.queue)
    return woken


def _advance_task(
    conn: psycopg.Connection, transact: Transact, task: live_tasks.LiveTask, wakeups: Wakeups
) -> bool:
    """Carry out a chunk of a pending operation, or one step and what follows from it; True if jobs were released."""
    if task.facts.pending_operation is not None:
        transact(lambda: lifecycle.carry_out(conn, task.id))
        return False
    if task.facts.waits and task.facts.state is TaskState.REGISTERED:
        return chains.is_due(conn, task.id) and transact(lambda: _end_wait(conn, task.id))
    facts = _with_test(conn, task)
    decided = decide(facts)
    if decided is not None:
        return transact(lambda: _apply_and_release(conn, task, decided, facts, wakeups))
    wanted = refill(facts)
    if not wanted or not transact(lambda: _release(conn, task, min(wanted, CHUNK))):
        return False
    wakeups.add(task.queue)  # with the ranks of this round
    return True


def _end_wait(conn: psycopg.Connection, task: int) -> bool:
    """End the waits for other tasks that are over. The task begins in the next round; no job is released yet."""
    try:
        chains.meet(conn, task, who=WHO)
    except NotFound:
        pass  # it has been deleted
    return False


def _with_test(conn: psycopg.Connection, task: live_tasks.LiveTask) -> TaskFacts:
    if task.facts.state is not TaskState.TESTING:
        return task.facts
    return replace(task.facts, test=live_tasks.test_facts(conn, task.id, task.test_for))


_BEGINNINGS = (TaskInput.BEGIN, TaskInput.BEGIN_TEST, TaskInput.TEST_PASSED)


def _apply_and_release(
    conn: psycopg.Connection,
    task: live_tasks.LiveTask,
    step: TaskInput,
    facts: TaskFacts,
    wakeups: Wakeups,
) -> bool:
    """Apply a step; if it starts work, release the first jobs at once. True if jobs were released."""
    if step in _BEGINNINGS:
        # A claim that depends on it waits for the disk itself, and then this commit is on disk as well.
        leader.do_not_wait_for_disk(conn)
    if not _apply(conn, task, step, facts) or step not in _BEGINNINGS:
        return False
    released = step is TaskInput.BEGIN_TEST or _release(conn, task, CHUNK)
    if released:
        task_mutations.append_to_queue(conn, task.id)
        wakeups.wake_on_commit(task.queue)
    return released


def _apply(
    conn: psycopg.Connection, task: live_tasks.LiveTask, step: TaskInput, facts: TaskFacts
) -> bool:
    """Apply the step that follows from the facts, unless they have changed since they were read.

    They are read again with the task's row locked, so that no claim, report or command can come in between.
    """
    try:
        task_mutations.lock_task(conn, task.id)
        now = [_with_test(conn, found) for found in live_tasks.read(conn, task.id)]
        if [decide(fresh) for fresh in now] != [step]:
            return False
        lifecycle.apply(conn, task.id, step, by=WHO, why=_why(step, facts))
    except (NotFound, Refused, Superseded):
        return False
    return True


def _why(step: TaskInput, facts: TaskFacts) -> str | None:
    test, counts = facts.test, facts.counts
    match step:
        case TaskInput.TEST_PASSED:
            return _why_passed(test)
        case TaskInput.TEST_FAILED | TaskInput.TEST_OVER:
            return test.why_failed
        case TaskInput.ALL_ENDED:
            return f"{counts.done} done, {facts.jobs - counts.done} not done"
        case TaskInput.FAILS_REACHED:
            return f"{counts.failed} of {facts.jobs} jobs failed, as many as --max-fails allows"
        case _:
            return None


def _why_passed(test: TestFacts) -> str:
    """Return why each part of the test jobs sufficed: "2 of 10 tests running well, 8 had no slot"."""
    parts = [
        (test.done, "done"),
        (test.matured, "running well"),
        (test.without_slot, "had no slot"),
    ]
    if not test.jobs:
        return "the files of its test jobs are gone"
    (first, what), *others = [(jobs, words) for jobs, words in parts if jobs]
    rest = "".join(f", {jobs} {words}" for jobs, words in others)
    return f"{first} of {test.jobs} tests {what}{rest}"


def _release(conn: psycopg.Connection, live: live_tasks.LiveTask, limit: int) -> bool:
    """Release up to `limit` jobs; with max_running, as many as there are places. True if jobs were released."""
    task = live.id
    if live.facts.max_running is not None:
        return running_limit.fill(conn, task, by=WHO) > 0
    locked = task_mutations.share_task(conn, task)
    if locked.max_running is not None:
        return False  # since the task was read
    if locked.state is not TaskState.RUNNING or locked.held or locked.pending_operation:
        return False
    released = job_mutations.release_jobs(conn, task, limit)
    if released:
        events.add_task_event(
            conn,
            task,
            before="registered",
            after="assigned",
            jobs=released,
            who=WHO,
            kind="release",
        )
    return released > 0
