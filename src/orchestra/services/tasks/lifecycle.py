"""Transitions of tasks and of chosen jobs, requested by people or by the conductor: one transaction each.

Each locks the task, looks the transition up in `domain/transitions.py`, writes state, event and pending operation, and
carries out the operation's first chunk at once; the conductor carries out the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import psycopg

from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.lifecycle import CHUNK
from orchestra.domain.states import HoldCause, JobState, PendingOperation, TaskState
from orchestra.domain.transitions import (
    JobInput,
    Refusal,
    TaskInput,
    TaskTransition,
    next_job_state,
    task_transition,
)
from orchestra.domain.wording import Action, words
from orchestra.services.mail import notifications
from orchestra.services.tasks import chains, running_limit
from orchestra.store.cluster import events
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.jobs import job_mutations
from orchestra.store.nodes import reservations
from orchestra.store.tasks import live_tasks, task_mutations


def apply(
    conn: psycopg.Connection,
    task: int,
    given: TaskInput,
    *,
    by: str,
    why: str | None = None,
    bypass: bool = False,
    cause: HoldCause = HoldCause.PERSON,
) -> TaskTransition:
    """Apply an input to a task; return the transition that was made.

    Args:
        by: the user or process, for the event.
        why: the reason; a hold needs one.
        bypass: for a retry, no new test.
        cause: why a task is held.

    Raises:
        NotFound: there is no such task.
        Refused: the task's state does not allow it; says why and what to do.
    """
    return in_transaction(conn, lambda: _apply(conn, task, given, by, why, bypass, cause))


def _apply(
    conn: psycopg.Connection,
    task: int,
    given: TaskInput,
    by: str,
    why: str | None,
    bypass: bool,
    cause: HoldCause,
) -> TaskTransition:
    locked = task_mutations.lock_task(conn, task)
    step = checked_step(locked, given)
    if step.again:
        return step
    if step.new_run:
        task_mutations.begin_run(conn, task, bypass=bypass)
    if step.state is not locked.state:
        task_mutations.change_state(conn, task, locked.state, step.state)
    released = _accompany(conn, locked, given, by, why, cause)
    if given in _STOPS_CLAIMS and reservations.end(conn, task):
        channels.notify_workers(conn)  # the nodes that waited for it
    if step.pending_operation is not None:
        task_mutations.set_pending_operation(conn, task, step.pending_operation, by=by, why=why)
    if step.state is not locked.state or step.pending_operation is not None:
        events.add_task_event(
            conn, task, before=locked.state, after=step.state, who=by, why=why, jobs=released
        )
    if step.state is not locked.state and not step.state.is_live:
        notifications.task_ended(conn, task, step.state, by=by, why=why)
    if step.pending_operation is not None:
        carry_out(conn, task)
    channels.notify(conn, channels.CONDUCTOR)
    return step


_STOPS_CLAIMS = (TaskInput.HOLD, TaskInput.FAILS_REACHED, TaskInput.KILL)

_CANNOT = {
    TaskInput.HOLD: "cannot be held",
    TaskInput.RELEASE: "cannot be released",
    TaskInput.KILL: "cannot be killed",
    TaskInput.RETRY: "cannot be retried",
    TaskInput.RETRY_ALL: "cannot be retried",
    TaskInput.UPDATE: "cannot be retried",
    TaskInput.ADD: "takes no more configs",
}


def checked_step(locked: task_mutations.LockedTask, given: TaskInput) -> TaskTransition:
    """Return the transition of a locked task.

    Raises:
        Refused: its state does not allow it."""
    step = task_transition(locked.state, given)
    if isinstance(step, Refusal):
        cannot = _CANNOT.get(given, f"takes no {given.value.replace('_', ' ')}")
        raise Refused(
            f"task {locked.id} ({locked.name}) {cannot} now: {step.reason}.", hint=step.hint
        )
    return step


def _accompany(  # noqa: C901 - one case an input, closed by assert_never
    conn: psycopg.Connection,
    locked: task_mutations.LockedTask,
    given: TaskInput,
    by: str,
    why: str | None,
    cause: HoldCause,
) -> int | None:
    """Carry out an input's side effects; return the number of jobs released, if any."""
    task = locked.id
    match given:
        case TaskInput.BEGIN_TEST:
            if locked.max_running is None:
                return job_mutations.release_test_jobs(conn, task, locked.test_jobs)
            job_mutations.mark_test_jobs(conn, task, locked.test_jobs)
            return running_limit.fill(conn, task, by=by)
        case TaskInput.TEST_PASSED:
            job_mutations.end_test_marks(conn, task)
            live_tasks.update_durations(conn, task)
        case TaskInput.HOLD | TaskInput.FAILS_REACHED:
            cause = HoldCause.FAILURES if given is TaskInput.FAILS_REACHED else cause
            if task_mutations.hold(conn, task, by=by, why=why or "no reason given", cause=cause):
                events.add_task_event(
                    conn, task, before=None, after="held", who=by, why=why, kind="hold"
                )
                notifications.task_held(
                    conn, task, by=by, why=why or "no reason given", cause=cause
                )
            channels.notify(conn, channels.NODE)  # they release what they have claimed ahead
        case TaskInput.RELEASE:
            if task_mutations.release(conn, task):
                events.add_task_event(
                    conn, task, before="held", after=None, who=by, why=why, kind="hold"
                )
            else:
                chains.let_go(conn, locked, by=by)
        case TaskInput.KILL:
            job_mutations.ask_jobs_to_end(conn, task)
            channels.notify(conn, channels.NODE)
        case TaskInput.TEST_FAILED:
            channels.notify(conn, channels.NODE)
        case TaskInput.DELETE:
            task_mutations.mark_deleted(conn, task)
            events.add_task_event(conn, task, before=locked.state, after="deleted", who=by, why=why)
        case (
            TaskInput.BEGIN
            | TaskInput.TEST_OVER
            | TaskInput.ALL_DONE
            | TaskInput.ALL_ENDED
            | TaskInput.ALL_DEAD
        ):
            pass
        case TaskInput.RETRY | TaskInput.RETRY_ALL | TaskInput.UPDATE | TaskInput.ADD:
            chains.refuse_while_taken(conn, locked)
        case TaskInput.JOB_RETRY | TaskInput.JOB_KILL:
            raise AssertionError("retry_jobs and kill_jobs apply these")
        case _:
            assert_never(given)
    return None


def carry_out(conn: psycopg.Connection, task: int) -> bool:
    """Carry out one chunk of a task's pending operation; return whether it is complete.

    Runs in the caller's transaction; the conductor repeats it, each time in a new one.
    """
    locked = task_mutations.lock_task(conn, task)
    if locked.pending_operation is None:
        return True
    first, following = locked.operation_from, locked.operation_from + CHUNK
    _move_chunk(conn, locked, locked.pending_operation, first, following)
    if locked.pending_operation is PendingOperation.END_TEST or following >= locked.jobs:
        task_mutations.finish_operation(conn, task)
        return True
    task_mutations.advance_operation(conn, task, following)
    return False


def _move_chunk(
    conn: psycopg.Connection,
    task: task_mutations.LockedTask,
    operation: PendingOperation,
    first: int,
    following: int,
) -> None:
    match operation:
        case PendingOperation.END_TEST:
            job_mutations.end_test(conn, task.id)
        case PendingOperation.BREAK:
            job_mutations.break_jobs(conn, task.id, first, following)
        case PendingOperation.KILL:
            job_mutations.kill_jobs(conn, task.id, first, following)
        case PendingOperation.RETRY:
            job_mutations.retry_jobs(conn, task.id, first, following, every=False, turn=0)
        case PendingOperation.RETRY_ALL:
            job_mutations.retry_jobs(conn, task.id, first, following, every=True, turn=1)
        case _:
            assert_never(operation)


def retry_jobs(
    conn: psycopg.Connection, task: int, indexes: Sequence[int], *, by: str, why: str | None = None
) -> int:
    """Retry chosen jobs, ahead of all others; return how many. All or none.

    Raises:
        NotFound: there is no such task.
        BadInput: it has no such job.
        Refused: the task's state does not allow it, or one of the jobs is alive.
    """

    def work() -> int:
        locked = task_mutations.lock_task(conn, task)
        step = checked_step(locked, TaskInput.JOB_RETRY)
        chains.refuse_waiting(conn, locked)
        chains.refuse_while_taken(conn, locked)
        jobs = _chosen(conn, locked, indexes)
        _refuse_living_and_removed(locked, jobs)
        if step.new_run:
            task_mutations.begin_run(conn, task, bypass=False)
            task_mutations.change_state(conn, task, locked.state, step.state)
            events.add_task_event(
                conn, task, before=locked.state, after=step.state, who=by, why=why
            )
        testing = step.state is TaskState.TESTING
        job_mutations.retry_chosen_jobs(conn, task, indexes)
        _note_jobs(conn, locked, jobs, JobInput.RETRY, by, why)
        if testing:
            readmit_test_jobs(conn, locked, by=by, why=why)
        channels.notify(conn, channels.CONDUCTOR)
        return len(jobs)

    return in_transaction(conn, work)


def readmit_test_jobs(
    conn: psycopg.Connection, task: task_mutations.LockedTask, *, by: str, why: str | None = None
) -> None:
    """Release the jobs of a running test that begin anew; with max_running the conductor does it."""
    readmitted = 0
    if task.max_running is None:
        readmitted = job_mutations.readmit_test_jobs(conn, task.id)
    if not readmitted:
        return
    events.add_task_event(
        conn,
        task.id,
        before=JobState.REGISTERED,
        after=JobState.ASSIGNED,
        jobs=readmitted,
        who=by,
        why=why,
        kind="release",
    )
    channels.notify_workers(conn, task.queue)


def kill_jobs(
    conn: psycopg.Connection, task: int, indexes: Sequence[int], *, by: str, why: str | None = None
) -> int:
    """Kill chosen jobs; return how many were waiting or running. Jobs that have ended stay as they are.

    Raises:
        NotFound: there is no such task.
        BadInput: it has no such job.
        Refused: the task's state does not allow it.
    """

    def work() -> int:
        locked = task_mutations.lock_task(conn, task)
        checked_step(locked, TaskInput.JOB_KILL)
        jobs = [
            job
            for job in _chosen(conn, locked, indexes)
            if job.state in (JobState.REGISTERED, JobState.ASSIGNED, JobState.RUNNING)
        ]
        job_mutations.kill_chosen_jobs(conn, task, [job.index for job in jobs])
        _note_jobs(conn, locked, [j for j in jobs if not j.claimed], JobInput.KILL, by, why)
        _note_requests(conn, locked, [j for j in jobs if j.claimed], by, why)
        channels.notify(conn, channels.NODE)
        channels.notify(conn, channels.CONDUCTOR)
        return len(jobs)

    return in_transaction(conn, work)


def _chosen(
    conn: psycopg.Connection, task: task_mutations.LockedTask, indexes: Sequence[int]
) -> list[job_mutations.LockedJob]:
    jobs = job_mutations.lock_jobs(conn, task.id, indexes)
    missing = sorted(set(indexes) - {job.index for job in jobs})
    if missing:
        raise BadInput(
            f"task {task.id} ({task.name}) has no job {missing[0]}; its jobs are {task.id}/0 to "
            f"{task.id}/{task.jobs - 1}."
        )
    return jobs


def _refuse_living_and_removed(
    task: task_mutations.LockedTask, jobs: Sequence[job_mutations.LockedJob]
) -> None:
    for job in jobs:
        if job.removed:
            raise Refused(
                f"job {task.id}/{job.index} is removed: its config is no longer among the task's files.",
                hint=words(
                    Action.UPDATE_TASK(task=task.id),
                    "   brings it back when the file is there again.",
                ),
            )
        if job.claimed:
            raise Refused(
                f"job {task.id}/{job.index} is {job.state}; a running job cannot be retried.",
                hint=words(Action.KILL_JOB(task=task.id, job=job.index), "   ends it first."),
            )


def _note_jobs(
    conn: psycopg.Connection,
    task: task_mutations.LockedTask,
    jobs: Sequence[job_mutations.LockedJob],
    given: JobInput,
    by: str,
    why: str | None,
) -> None:
    changes = []
    for job in jobs:
        after = next_job_state(job.state, given)
        if isinstance(after, Refusal):
            raise AssertionError(after.reason)
        changes.append((task.id, job.index, None, job.state.value, after.value, why))
    events.add_job_events(conn, changes, who=by)


def _note_requests(
    conn: psycopg.Connection,
    task: task_mutations.LockedTask,
    jobs: Sequence[job_mutations.LockedJob],
    by: str,
    why: str | None,
) -> None:
    changes = [(task.id, j.index, None, j.state.value, "kill", why) for j in jobs]
    events.add_job_events(conn, changes, who=by)
