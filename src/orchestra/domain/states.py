"""The states of tasks and jobs, and the marks beside them.

The members' comments say who moves something in and who moves it out; `transitions.py` is the table.
"""

from __future__ import annotations

from enum import StrEnum


class Queue(StrEnum):
    """Which kind of slot a job takes."""

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
        """Whether something still happens by itself in this state."""
        return self in LIVE_TASK_STATES

    @property
    def may_claim(self) -> bool:
        """Whether pilots may take jobs of a task in this state (unless it is held)."""
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
    """In: a report of success, even one that comes after its attempt was given up. Out: a user's retry."""
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
    """Give the column in which a job is counted.

    The SQL function `job_figure` of the schema says the same; a test compares the two.
    """
    if kill_requested and claimed and state in (JobState.ASSIGNED, JobState.RUNNING):
        return JobStatus.KILL
    if state is JobState.RUNNING and is_test:
        return JobStatus.TESTING
    return JobStatus(state.value)


class PendingOperation(StrEnum):
    """A mass move that is stored with its task and carried out in chunks."""

    END_TEST = "end_test"
    """Withdraw the test jobs that have not started, end the living ones."""
    BREAK = "break"
    """The jobs that are not done become broken."""
    KILL = "kill"
    """The jobs that are not done become killed; living ones are ended first."""
    RETRY = "retry"
    """The jobs that are not done start over, first in line."""
    RETRY_ALL = "retry_all"
    """Every job starts over."""


class HoldCause(StrEnum):
    """What a task is held for."""

    PERSON = "person"
    """Somebody wanted it."""
    FAILURES = "failures"
    """As many jobs failed as --max-fails allows; those up to a release are forgiven."""
    FILES = "files"
    """Inputs that have changed, or a folder that cannot be used: as long as that is so, it is held again at once."""


class Cause(StrEnum):
    """Why an attempt ended."""

    EXIT = "exit"
    """The command ended by itself, with an exit status."""
    SIGNAL = "signal"
    """The command died of a signal that Orchestra did not send."""
    OUT_OF_MEMORY = "out_of_memory"
    """It used more memory than its `--memory`, or the machine had none left and the kernel killed it."""
    GPU_OUT_OF_MEMORY = "gpu_out_of_memory"
    """The command ended by itself, with a failure, and its log says that the GPU's memory was full."""
    TIMEOUT = "timeout"
    """The keeper ended it: its `--timeout` was over."""
    ENDED = "ended"
    """The keeper was asked to end it: by people, or because another job of the test failed. The reason says which."""
    LEASE = "lease"
    """The keeper ended it, at no fault of the job: the lease was over, or its pilot was stopped at once."""
    NO_START = "no_start"
    """The process could not be started on that node."""
    NOT_COMPLETE = "not_complete"
    """Exit status 0, but the file that says "complete" is missing."""
    INPUT = "input"
    """Not started: an input is not what was registered. The task is held."""
    VOLUME = "volume"
    """Not started: the attempt's folder or log could not be made. The task is held."""
    NO_CONTAINER = "no_container"
    """The command never ran: its image could not be fetched, or its container could not be begun. Fails a test; else it
    costs nothing, and that node leaves the task alone for a while."""
    RETURNED = "returned"
    """Not started: the pilot gave the job back."""
    LOST = "lost"
    """Nobody knows how it ended: its node, keeper or database fenced it."""
    UNHEARD = "unheard"
    """The same, of one that had not said yet that it had started: it may well have, and its outcome still counts."""
