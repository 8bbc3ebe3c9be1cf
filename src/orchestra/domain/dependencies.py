"""What is to be said of a task that waits for others. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.domain.models.tasks import Dependency
from orchestra.domain.states import TaskState
from orchestra.domain.wording import Action, Sentence, words


def sentences(task: int, after: Sequence[Dependency]) -> Iterator[Sentence]:
    """Say what a task waits for, and what to do where that does not come by itself."""
    for each in after:
        yield words(
            f"It begins when task {each.id} ({each.name}) is DONE", _how_it_stands(each), "."
        )
    if any(_stuck(each) for each in after):
        yield _way_out(task, after)


def short(after: Sequence[Dependency]) -> str:
    """The same for a table: `after task 2`, `after task 2 (BROKEN)`."""
    first, more = after[0], len(after) - 1
    stuck = next((each for each in after if _stuck(each)), None)
    if stuck:
        return f"after task {stuck.id} ({stuck.state or 'deleted'})"
    return f"after task {first.id}" + (f" and {more} more" if more else "")


def _stuck(after: Dependency) -> bool:
    return after.state is None or not (after.state.is_live or after.state is TaskState.DONE)


def _how_it_stands(after: Dependency) -> Sentence:
    if after.state is None:
        return ", but that was deleted"
    if _stuck(after):
        return words(
            f", but that is {after.state}: ",
            Action.RETRY_TASK(task=after.id),
            " runs what is not done",
        )
    return "" if after.state is TaskState.DONE else f"; that is {after.state} now"


def _way_out(task: int, after: Sequence[Dependency]) -> Sentence:
    giver = next((each for each in after if each.gives_configs), None)
    if giver is None:
        return words("To let it begin without waiting: ", Action.RELEASE_TASK(task=task))
    if giver.state is None:
        return (
            f"Its configs were to be the outputs of task {giver.id}, so it cannot begin any more."
        )
    return words(
        f"Its configs are all outputs of task {giver.id}; a new task of those that are there: ",
        Action.CREATE_TASK_FROM(task=giver.id),
    )
