"""Sentences about a task that waits for other tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.domain.models.tasks import Dependency
from orchestra.domain.states import TaskState
from orchestra.domain.wording import Action, Sentence, words


def sentences(task: int, after: Sequence[Dependency]) -> Iterator[Sentence]:
    """Yield what a task waits for, and what to do if that cannot happen by itself."""
    for each in after:
        yield words(f"It starts when task {each.id} ({each.name}) is DONE", _state_now(each), ".")
    if any(is_stuck(each) for each in after):
        yield _remedy(task, after)


def short(after: Sequence[Dependency]) -> str:
    """The same for a table: `after task 2`, `after task 2 (BROKEN)`."""
    first, more = after[0], len(after) - 1
    stuck = next((each for each in after if is_stuck(each)), None)
    if stuck:
        return f"after task {stuck.id} ({stuck.state or 'deleted'})"
    return f"after task {first.id}" + (f" and {more} more" if more else "")


def is_stuck(after: Dependency) -> bool:
    """Whether a task that another one waits for has ended without being DONE, or was deleted."""
    return after.state is None or not (after.state.is_live or after.state is TaskState.DONE)


def _state_now(after: Dependency) -> Sentence:
    if after.state is None:
        return ", but that task was deleted"
    if is_stuck(after):
        return words(
            f", but that task is {after.state}: ",
            Action.RETRY_TASK(task=after.id),
            " runs the jobs that are not done",
        )
    return "" if after.state is TaskState.DONE else f"; it is {after.state} now"


def _remedy(task: int, after: Sequence[Dependency]) -> Sentence:
    source = next((each for each in after if each.gives_configs), None)
    if source is None:
        return words("To start it without waiting: ", Action.RELEASE_TASK(task=task))
    if source.state is None:
        return f"Its configs were to be the outputs of task {source.id}, so it can no longer start."
    return words(
        f"Its configs are all outputs of task {source.id}. To create a task from those that exist: ",
        Action.CREATE_TASK_FROM(task=source.id),
    )
