"""Waiting for tasks and pilots, by polling."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from orchestra.domain.errors import NotFound
from orchestra.domain.human import listed
from orchestra.domain.models.tasks import Task
from orchestra.interface.changes import ChangesSince
from orchestra.interface.operation import Interface
from orchestra.interface.selection import FindTask
from orchestra.interface.task_changes import FinishKill, KillTask, PilotsToAnswer

PILOTS_ANSWER_WITHIN = 5.0
NODES_NAMED = 5
_POLL_FIRST, _POLL_MOST = 0.2, 1.0
_PILOTS_POLL = 0.02
LOOK_ANYWAY = 30.0
"""Seconds after which tasks are read again even without a change: the database may have been replaced."""


@dataclass(frozen=True, slots=True)
class Waited:
    """The tasks at the end of the wait; `timed_out` if some had not ended."""

    tasks: tuple[Task, ...]
    timed_out: bool


def wait_for_tasks(
    ask: Interface,
    tasks: Sequence[int],
    *,
    timeout: float | None = None,
    changed: Callable[[Task], None] = lambda _task: None,
    looked: Callable[[Sequence[Task]], None] = lambda _tasks: None,
    refresh: float = LOOK_ANYWAY,
    sleep: Callable[[float], None] = time.sleep,
) -> Waited:
    """Wait until all tasks have ended, for at most `timeout` seconds.

    `changed` is called with each task at first, and whenever its state or hold changes, or the state of a task that it
    waits for. `looked` is called after each look; the counts in what it gets are at most `refresh` seconds old.

    Raises:
        NotFound: one of them was deleted.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    watched = _Watched(ask, tasks, refresh)
    seen: dict[int, tuple[object, ...]] = {}
    pause = _POLL_FIRST
    while True:
        found = watched.look()
        for task in found:
            look = (task.state, task.hold is not None, *(each.state for each in task.after))
            if seen.get(task.id) != look:
                seen[task.id], pause = look, _POLL_FIRST
                changed(task)
        looked(found)
        if all(task.is_over for task in found):
            return Waited(found, timed_out=False)
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return Waited(found, timed_out=True)
        sleep(pause if left is None else min(pause, left))
        pause = min(_POLL_MOST, pause * 1.2)


@dataclass(slots=True)
class _Watched:
    """Tasks, of which only changed ones are read again."""

    ask: Interface
    tasks: Sequence[int]
    refresh: float
    found: dict[int, Task] = field(default_factory=dict)
    cursor: str | None = None
    complete: float = float("-inf")

    def look(self) -> tuple[Task, ...]:
        """Return all tasks as they are now."""
        now = time.monotonic()
        if now - self.complete >= self.refresh:
            self.cursor, self.complete = None, now
        others = {each.id for task in self.found.values() for each in task.after}
        changes = self.ask(ChangesSince(self.cursor, tuple({*self.tasks, *others})))
        self.cursor = changes.cursor
        changed = set(changes.tasks)
        for task in self.tasks:
            if self._may_differ(task, changed):
                self.found[task] = _present(self.ask, task)
        return tuple(self.found[task] for task in self.tasks)

    def _may_differ(self, task: int, changed: set[int]) -> bool:
        known = self.found.get(task)
        if known is None or task in changed:
            return True
        if not known.state.is_live and not known.is_over:
            return True  # the end of a pending operation is not an event
        return not changed.isdisjoint(each.id for each in known.after)


def _present(ask: Interface, task: int) -> Task:
    try:
        return ask(FindTask(str(task)))
    except NotFound:
        raise NotFound(f"task {task} was deleted.", kind="task", task=task) from None


def kill_for_good(
    ask: Interface, task: int, *, timeout: float, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Kill a task and wait until it has ended; return False if a job is still alive after `timeout` seconds.

    Raises:
        NotFound, Refused: there is no such task, or it belongs to somebody else.
    """
    ask(KillTask(task, "to be deleted"))
    deadline = time.monotonic() + timeout
    while ask(FinishKill(task)).state.is_live:
        if time.monotonic() > deadline:
            return False
        sleep(_POLL_FIRST)
    return True


def wait_for_pilots(
    ask: Interface, tasks: Sequence[int], *, timeout: float = PILOTS_ANSWER_WITHIN
) -> dict[int, list[str]]:
    """Wait until pilots have released or started what they had claimed ahead of held tasks.

    Returns the nodes that may still start a job, by task: they are offline, or have not responded within `timeout` s.
    """
    deadline = time.monotonic() + timeout
    while True:
        left = ask(PilotsToAnswer(tuple(tasks)))
        if time.monotonic() > deadline or not any(each.online for each in left):
            nodes: dict[int, list[str]] = {}
            for each in left:
                nodes.setdefault(each.task, []).append(each.node)
            return nodes
        time.sleep(_PILOTS_POLL)


def not_answered(task: int, nodes: Sequence[str]) -> str:
    """Return a sentence about nodes that may still start a job of a held task."""
    return (
        f"{listed(nodes, most=NODES_NAMED)} did not answer, and may still start a job of task {task} that was claimed "
        "before"
    )
