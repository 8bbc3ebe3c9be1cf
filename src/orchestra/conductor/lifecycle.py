"""The duty that moves tasks along: test gate, ends, mass moves, releases."""

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
from orchestra.services import chains, lifecycle
from orchestra.store import leader, moves

WHO = "orchestra"


def advance(
    conn: psycopg.Connection,
    transact: Transact,
    tasks: Sequence[moves.LiveTask],
    wakeups: Wakeups | None = None,
    isolation: Isolation | None = None,
) -> set[Queue]:
    """Move every live task as far as it goes for now; gives the queues in which work has appeared.

    What goes wrong in one task keeps the others from nothing. Mass moves come last: a chunk of one takes long, and
    meanwhile another task may have as many failures as it is allowed.
    """
    wakeups, isolation = wakeups or Wakeups(lambda _: None), isolation or Isolation()
    woken = set()
    for task in sorted(tasks, key=lambda task: task.facts.pending_operation is not None):
        step = partial(_advance_task, conn, transact, task, wakeups)
        if isolation.attempt(conn, task.id, step):
            woken.add(task.queue)
    return woken


def _advance_task(
    conn: psycopg.Connection, transact: Transact, task: moves.LiveTask, wakeups: Wakeups
) -> bool:
    """Carry out a chunk of a mass move, or one step and what follows from it; True when jobs were released."""
    if task.facts.pending_operation is not None:
        transact(lambda: lifecycle.carry_out(conn, task.id))
        return False
    if task.facts.waits and task.facts.state is TaskState.REGISTERED:
        return chains.is_due(conn, task.id) and transact(lambda: _meet(conn, task.id))
    facts = _with_test(conn, task)
    given = decide(facts)
    if given is not None:
        return transact(lambda: _apply_and_release(conn, task, given, facts, wakeups))
    wanted = min(refill(facts), CHUNK)
    if wanted <= 0 or not transact(lambda: _release(conn, task.id, wanted)):
        return False
    wakeups.appeared(
        task.queue
    )  # it has jobs to claim already: pilots need not hear of more at once
    return True


def _meet(conn: psycopg.Connection, task: int) -> bool:
    """End the waits that are over; the task begins at the next look. No job is released by it."""
    try:
        chains.meet(conn, task, who=WHO)
    except NotFound:
        pass  # it was deleted meanwhile
    return False


def _with_test(conn: psycopg.Connection, task: moves.LiveTask) -> TaskFacts:
    if task.facts.state is not TaskState.TESTING:
        return task.facts
    return replace(task.facts, test=moves.test_facts(conn, task.id, task.test_for))


_BEGINNINGS = (TaskInput.BEGIN, TaskInput.BEGIN_TEST, TaskInput.TEST_PASSED)


def _apply_and_release(
    conn: psycopg.Connection,
    task: moves.LiveTask,
    given: TaskInput,
    facts: TaskFacts,
    wakeups: Wakeups,
) -> bool:
    """Apply a step; where work begins by it, hand out the first jobs at once. True when jobs were released."""
    if given in _BEGINNINGS:
        # A claim that rests on it waits for the disk, and with its own commit this one's is there, too.
        leader.do_not_wait_for_disk(conn)
    if not _apply(conn, task, given, facts) or given not in _BEGINNINGS:
        return False
    released = given is TaskInput.BEGIN_TEST or _release(conn, task.id, CHUNK)
    if released:
        moves.line_up(conn, task.id)
        wakeups.appear(task.queue)
    return released


def _apply(
    conn: psycopg.Connection, task: moves.LiveTask, given: TaskInput, facts: TaskFacts
) -> bool:
    """Apply the step that the facts call for, unless something has changed since they were read.

    With the task's row locked they are read again: no claim, report or command comes in between any more.
    """
    try:
        moves.lock_task(conn, task.id)
        now = [_with_test(conn, found) for found in moves.live_tasks(conn, task.id)]
        if [decide(fresh) for fresh in now] != [given]:
            return False
        lifecycle.apply(conn, task.id, given, by=WHO, why=_why(given, facts))
    except (NotFound, Refused, Superseded):
        return False
    return True


def _why(given: TaskInput, facts: TaskFacts) -> str | None:
    test, counts = facts.test, facts.counts
    match given:
        case TaskInput.TEST_PASSED:
            return _how_it_passed(test)
        case TaskInput.TEST_FAILED | TaskInput.TEST_OVER:
            return test.why_failed
        case TaskInput.ALL_ENDED:
            return f"{counts.done} done, {facts.jobs - counts.done} not"
        case TaskInput.FAILS_REACHED:
            return f"{counts.failed} of {facts.jobs} jobs failed, as many as --max-fails allows"
        case _:
            return None


def _how_it_passed(test: TestFacts) -> str:
    """Say of each part of the test jobs why it was enough: "2 of 10 tests running well, 8 had no slot"."""
    parts = [
        (test.done, "done"),
        (test.matured, "running well"),
        (test.without_slot, "had no slot"),
    ]
    (first, what), *others = [(jobs, words) for jobs, words in parts if jobs]
    rest = "".join(f", {jobs} {words}" for jobs, words in others)
    return f"{first} of {test.jobs} tests {what}{rest}"


def _release(conn: psycopg.Connection, task: int, limit: int) -> bool:
    locked = moves.share_task(conn, task)
    if locked.state is not TaskState.RUNNING or locked.held or locked.pending_operation:
        return False
    released = moves.release_jobs(conn, task, limit)
    if released:
        moves.add_task_event(
            conn,
            task,
            before="registered",
            after="assigned",
            jobs=released,
            who=WHO,
            kind="release",
        )
    return released > 0
