"""What an action on a task would do, in sentences, before anybody does it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from orchestra.domain.human import compute_time, count, listed, number
from orchestra.domain.states import Queue


class TaskAction(StrEnum):
    """An action on a task or on some of its jobs."""

    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    """The jobs that are not done; of a DONE task, all."""
    RETRY_ALL = "retry_all"
    KILL = "kill"
    DELETE = "delete"
    RETRY_JOBS = "retry_jobs"
    """Those that match a filter."""
    KILL_JOBS = "kill_jobs"
    """Those that match a filter."""


@dataclass(frozen=True, slots=True)
class Affected:
    """The jobs that an action concerns.

    Args:
        ends: running jobs that are ended; `used_seconds` are the slot seconds that these have used.
        waits: waiting jobs.
        again: jobs that run again; `done_again` of them are done. `again_seconds` is what this is likely to take, in
            slot seconds; None if unknown.
        exact: whether these are all; else there are more.
    """

    ends: int = 0
    used_seconds: float = 0.0
    waits: int = 0
    again: int = 0
    done_again: int = 0
    again_seconds: float | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """The task: what it computes on, its jobs, the tasks that wait for it in words, and where its files are."""

    queue: Queue
    jobs: int
    running: int
    done: int
    followers: tuple[str, ...]
    folder: str


def sentences(action: TaskAction, found: Affected, task: Setting) -> Iterator[str]:
    """Yield what would happen, the loss first: `Ends 12 running jobs, which have used 3.1 CPU hours.`"""
    match action:
        case TaskAction.KILL | TaskAction.KILL_JOBS:
            yield from _kill(action, found, task)
        case TaskAction.RETRY | TaskAction.RETRY_ALL | TaskAction.RETRY_JOBS:
            yield from _retry(action, found, task)
        case TaskAction.HOLD:
            waiting = count(found.waits, "waiting job")
            yield f"Starts no more jobs: {waiting} {_verb(found.waits, 'stays', 'stay')} so until the task is released."
            if task.running:
                running = count(task.running, "running job")
                yield f"{running} {_verb(task.running, 'continues', 'continue')} to run."
        case TaskAction.RELEASE:
            yield f"Lets {count(found.waits, 'waiting job')} start."
        case TaskAction.DELETE:
            jobs = count(task.jobs, "job")
            yield f"Deletes the task with its {jobs}: states, history, ends of logs and metrics."
            yield f"Its files stay in {task.folder}."
            yield from _followers(task)


def _kill(action: TaskAction, found: Affected, task: Setting) -> Iterator[str]:
    at_least = "" if found.exact else "at least "
    if found.ends:
        used = compute_time(found.used_seconds, task.queue.upper())
        which = _verb(found.ends, "which has used", "which have used")
        yield f"Ends {at_least}{count(found.ends, 'running job')}, {which} {used}."
    if found.waits:
        waiting = count(found.waits, "waiting job")
        yield f"{at_least.capitalize()}{waiting} will not run."
    if not found.ends and not found.waits:
        yield "Ends no job: none of them is running or waiting."
    if action is TaskAction.KILL:
        if task.done:
            keep = _verb(task.done, "keeps its result", "keep their results")
            yield f"{count(task.done, 'done job')} {keep}."
        yield from _followers(task)


def _retry(action: TaskAction, found: Affected, task: Setting) -> Iterator[str]:
    if not found.again:
        yield "Runs no job again: none of them has ended without being done."
        return
    about = ""
    if found.again_seconds:
        about = f", about {compute_time(found.again_seconds, task.queue.upper())}"
    at_least = "" if found.exact else "at least "
    first = ", before the others of the task" if action is TaskAction.RETRY_JOBS else ""
    yield f"Runs {at_least}{count(found.again, 'job')} again{first}{about}."
    if found.done_again:
        are = _verb(found.done_again, "is", "are")
        yield f"{number(found.done_again)} of them {are} done; each keeps its result until it has succeeded again."
    elif task.done:
        stay = _verb(task.done, "stays as it is", "stay as they are")
        yield f"{count(task.done, 'done job')} {stay}."


def _followers(task: Setting) -> Iterator[str]:
    if not task.followers:
        return
    names = listed(task.followers, most=3)
    wait = _verb(
        len(task.followers),
        "waits for this task and will not start by itself",
        "wait for this task and will not start by themselves",
    )
    yield f"{names[0].upper()}{names[1:]} {wait}."


def _verb(jobs: int, one: str, several: str) -> str:
    return one if jobs == 1 else several
