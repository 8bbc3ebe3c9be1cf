"""The states of tasks and jobs, and other marks of them.

The docstring of each state says what enters it and what leaves it; `transitions.py` has the tables.
"""

from __future__ import annotations

from enum import StrEnum


class Queue(StrEnum):
    """The kind of slot that a job takes."""

    CPU = "cpu"
    GPU = "gpu"


class TaskState(StrEnum):
    """Where a task is in its life."""

    REGISTERED = "REGISTERED"
    """In: `task create`, or a retry that starts over. Out: the conductor, as soon as it is not held."""
    TESTING = "TESTING"
    """In: the conductor, with the test jobs. Out: the conductor, by their outcome; a user's kill."""
    RUNNING = "RUNNING"
    """In: the conductor after the test or a bypass; a user's retry. Out: the conductor; a user's kill."""
    DONE = "DONE"
    """In: the conductor, when every job is done. Out: a user's retry."""
    FINALIZED = "FINALIZED"
    """In: the conductor, when every job has ended and some are not done. Out: a user's retry."""
    BROKEN = "BROKEN"
    """In: the conductor, when the test has failed and nothing is alive. Out: a user's retry."""
    KILL = "KILL"
    """In: a user's kill. Out: the conductor, when nothing is alive any more."""
    KILLED = "KILLED"
    """In: the conductor, after KILL. Out: a user's retry."""

    @property
    def is_live(self) -> bool:
        """Whether a task in this state can still change without a command."""
        return self in LIVE_TASK_STATES

    @property
    def may_claim(self) -> bool:
        """Whether pilots may claim jobs of a task in this state (unless it is held)."""
        return self in CLAIMABLE_TASK_STATES


LIVE_TASK_STATES = frozenset(
    {TaskState.REGISTERED, TaskState.TESTING, TaskState.RUNNING, TaskState.KILL}
)
CLAIMABLE_TASK_STATES = frozenset({TaskState.TESTING, TaskState.RUNNING})
ENDED_TASK_STATES = frozenset(TaskState) - LIVE_TASK_STATES


class JobState(StrEnum):
    """Where a job is in its life."""

    REGISTERED = "registered"
    """In: its task's creation, a retry, a withdrawal. Out: the conductor releases it; kill; break."""
    ASSIGNED = "assigned"
    """In: the conductor releases it; a failed or lost attempt that may be repeated. A pilot may hold it
    already (it is *claimed* then). Out: its attempt starts; withdrawal; kill; break."""
    RUNNING = "running"
    """In: the pilot that claimed it. Out: that pilot's report, or the loss of its keeper."""
    DONE = "done"
    """In: a report of success, even after its attempt was declared lost. Out: a user's retry."""
    FAILED = "failed"
    """In: a report of failure with no retry left, or the fifth loss in a row. Out: retry; break; kill."""
    KILLED = "killed"
    """In: a user's kill, once the attempt has ended. Out: a user's retry."""
    BROKEN = "broken"
    """In: its task broke. Out: a user's retry."""


ENDED_JOB_STATES = frozenset({JobState.DONE, JobState.FAILED, JobState.KILLED, JobState.BROKEN})


class JobStatus(StrEnum):
    """The columns of `task list`: each job is counted in exactly one of them."""

    REGISTERED = "registered"
    ASSIGNED = "assigned"
    TESTING = "testing"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"
    KILL = "kill"
    KILLED = "killed"
    BROKEN = "broken"


def job_status(state: JobState, *, is_test: bool, kill_requested: bool, claimed: bool) -> JobStatus:
    """Return the column in which a job is counted.

    The SQL function `job_figure` does the same; a test compares the two.
    """
    if kill_requested and claimed and state in (JobState.ASSIGNED, JobState.RUNNING):
        return JobStatus.KILL
    if state is JobState.RUNNING and is_test:
        return JobStatus.TESTING
    return JobStatus(state.value)


class PendingOperation(StrEnum):
    """An operation on many jobs that is stored with its task and carried out in chunks."""

    END_TEST = "end_test"
    """Withdraw the test jobs that have not started, end those that run."""
    BREAK = "break"
    """The jobs that are not done become broken."""
    KILL = "kill"
    """The jobs that are not done become killed; living ones are ended first."""
    RETRY = "retry"
    """The jobs that are not done start over, first in line."""
    RETRY_ALL = "retry_all"
    """Every job starts over."""


class HoldCause(StrEnum):
    """Why a task is held."""

    PERSON = "person"
    """A user holds it."""
    FAILURES = "failures"
    """Failures reached --max-fails. A release forgives those until then."""
    FILES = "files"
    """Inputs have changed, or a folder cannot be used. Until that is fixed, a released task is held again."""


class Cause(StrEnum):
    """Why an attempt ended."""

    EXIT = "exit"
    """The command ended by itself, with an exit status."""
    SIGNAL = "signal"
    """The command was killed by a signal that Orchestra did not send."""
    OUT_OF_MEMORY = "out_of_memory"
    """It used more memory than its `--memory`, or the machine had none left and the kernel killed it."""
    GPU_OUT_OF_MEMORY = "gpu_out_of_memory"
    """The command failed by itself, and its log says that the GPU's memory was full."""
    TIMEOUT = "timeout"
    """The keeper ended it because it exceeded its `--timeout`."""
    ENDED = "ended"
    """The keeper ended it on request: of a user, or because another test job failed. The reason says which."""
    LEASE = "lease"
    """The keeper ended it through no fault of the job: the lease expired, or its pilot was stopped at once."""
    CLOSED = "closed"
    """The keeper ended it because the node's hours, or the allocation that it is in, were over; or that has ended it
    itself. Its job is first in line again."""
    NO_START = "no_start"
    """The process could not be started on that node."""
    NOT_COMPLETE = "not_complete"
    """Exit status 0, but the "complete" file is missing."""
    INPUT = "input"
    """Not started: an input differs from what was registered. The task is held."""
    VOLUME = "volume"
    """Not started: the attempt's folder or log could not be created. The task is held."""
    NO_CONTAINER = "no_container"
    """The command never ran: its image could not be fetched, or its container could not be started. This makes a test
    fail; otherwise it costs no retry, and the node does not take jobs of the task for a while."""
    RETURNED = "returned"
    """Not started: the pilot requeued the job."""
    LOST = "lost"
    """Its end is unknown: its node or keeper was fenced, or the database was replaced."""
    UNHEARD = "unheard"
    """The same, before its start was reported. It may have run, and its outcome still counts."""
