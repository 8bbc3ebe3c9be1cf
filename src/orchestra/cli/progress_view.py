"""How the progress of tasks is shown while a command waits for them.

On a terminal, lines are redrawn in place below what has changed. Elsewhere there is a line for each change of a task's
state, and at times one for its jobs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from orchestra import command_words
from orchestra.cli import table
from orchestra.cli.colour import can_draw, coloured
from orchestra.cli.redraw import Redrawn, columns, height
from orchestra.cli.table import Column, Fit
from orchestra.cli.task_record import task_title
from orchestra.cli.terminal import one_line
from orchestra.domain import human, progress
from orchestra.domain.progress import Pace

if TYPE_CHECKING:
    from orchestra.domain.models.tasks import Task
    from orchestra.interface.operation import Interface

_BAR, _SHORT_BAR = 20, 10
_MOST_TASKS = 10
_EVERY = 30.0
"""Seconds between two lines on the jobs of a task where nothing can be redrawn."""
_STEPS = 10
"""Such lines in one run of a task, at most."""
_ASK_AGAIN = 5.0
"""Seconds after which it is asked again why nothing runs."""


class View(Protocol):
    """Where the progress of tasks is shown."""

    def say(self, *lines: str) -> None:
        """Print lines that stay."""

    def look(self, ask: Interface, tasks: Sequence[Task]) -> None:
        """Show tasks as they are now."""

    def refresh(self, tasks: int, /) -> float:
        """Return how many seconds old the counts of so many tasks may be."""

    def close(self) -> None:
        """Remove what does not stay."""


def view() -> View:
    """Return the view for stderr."""
    return Drawn() if can_draw(sys.stderr) else Lines()


class Drawn:
    """Lines on a terminal: one or two for one task, a table for several; below, why nothing runs."""

    def __init__(self) -> None:
        self._block = Redrawn(sys.stderr)
        self._lines: list[str] = []
        self._paces: dict[int, Pace] = {}
        self._reasons = Reasons(patience=3.0)

    def say(self, *lines: str) -> None:
        self._block.clear()
        _print(lines)
        self._block.show(self._lines)

    def look(self, ask: Interface, tasks: Sequence[Task]) -> None:
        now = time.monotonic()
        for task in tasks:
            self._paces.setdefault(task.id, Pace()).note(task, now)
        live = [task for task in tasks if not task.is_over]
        why = self._reasons.of(ask, live, now)
        self._lines = list(self._drawn(live, len(tasks), why, now))
        self._block.show(self._lines)

    def _drawn(self, live: Sequence[Task], tasks: int, why: str, now: float) -> Iterator[str]:
        width = columns(sys.stderr) - 1

        def rate(task: Task) -> float | None:
            return self._paces[task.id].per_second(task, now)

        if tasks == 1:
            for task in live:
                yield from one_task(task, rate(task), datetime.now(UTC), width)
        elif live:
            room = max(1, min(_MOST_TASKS, height(sys.stderr) - 6))
            yield from several_tasks(live, rate, datetime.now(UTC), width, room)
        yield from table.fold(one_line(why), max(width, 1)) if why else ()

    def refresh(self, tasks: int, /) -> float:
        return tasks / 20

    def close(self) -> None:
        self._lines = []
        self._block.clear()


class Lines:
    """Lines that stay, bounded in number."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[float, int, int]] = {}
        self._reasons = Reasons(patience=10.0)
        self._why = ""

    def say(self, *lines: str) -> None:
        _print(lines)

    def look(self, ask: Interface, tasks: Sequence[Task]) -> None:
        now = time.monotonic()
        for task in tasks:
            self._tell(task, now)
        why = self._reasons.of(ask, [task for task in tasks if not task.is_over], now)
        if why != self._why and why:
            self.say(f"  {why}")
        self._why = why

    def _tell(self, task: Task, now: float) -> None:
        """Print a line if a tenth of a task's jobs have ended since the last one, some time ago."""
        step = _STEPS * task.counts.ended // max(1, task.active_jobs)
        told, run, before = self._told.get(task.id, (now, task.run, step))
        if task.id not in self._told or run != task.run or task.is_over:
            self._told[task.id] = (now, task.run, step)
        elif step > before and now - told >= _EVERY:
            self._told[task.id] = (now, task.run, step)
            parts = [*progress.counted(task), progress.ends(task, datetime.now(UTC))]
            self.say(f"{task_title(task)}: {', '.join(filter(None, parts))}")

    def refresh(self, _tasks: int, /) -> float:
        return _EVERY

    def close(self) -> None:
        """Every line is complete."""


class Reasons:
    """Why nothing of a task runs, asked when that has lasted for `patience` seconds, and not too often."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: dict[int, float] = {}
        self._asked, self._answer = float("-inf"), ""

    def of(self, ask: Interface, live: Sequence[Task], now: float) -> str:
        """Return the reason of the first task of which nothing runs, if there is one that was not said before.

        A hold, and a wait for other tasks, are said with the state.
        """
        idle = [task for task in live if not (task.counts.living or task.hold or task.after)]
        self._since = {task.id: self._since.get(task.id, now) for task in idle}
        idle = [task for task in idle if now - self._since[task.id] >= self._patience]
        if not idle:
            self._asked, self._answer = float("-inf"), ""
        elif now - self._asked >= _ASK_AGAIN:
            self._asked, self._answer = now, next(_reasons(ask, idle[:_MOST_TASKS]), "")
        return self._answer


def _reasons(ask: Interface, idle: Sequence[Task]) -> Iterator[str]:
    from orchestra.interface.task_reports import WhyTaskWaits

    for task in idle:
        if found := ask(WhyTaskWaits(task.id)):
            yield f"Nothing of task {task.id} runs. {command_words.worded(found[0])}"


def one_task(task: Task, rate: float | None, now: datetime, width: int) -> Iterator[str]:
    """Yield the progress of a task in one line of `width`, else in two."""
    bar = _bar(task, _BAR if width >= 60 else _SHORT_BAR)
    done = f"[{bar}] {_percent(task):>5}   {', '.join(progress.counted(task))}"
    pace = [human.rate(rate, "job")] if rate else []
    pace += filter(None, [progress.ends(task, now, rate)])
    whole = ", ".join([done, *pace])
    if table.width_of(whole) <= width or not pace:
        yield table.cut(whole, width)
        return
    yield table.cut(done, width)
    yield table.cut(" " * 9 + ", ".join(pace), width)


def several_tasks(
    live: Sequence[Task],
    rate: Callable[[Task], float | None],
    now: datetime,
    width: int,
    room: int,
) -> Iterator[str]:
    """Yield a table of tasks that have not ended, those that run first: `room` of them, and how many more."""
    first = sorted(live, key=lambda task: not task.counts.living)[:room]

    def ends(task: Task) -> str:
        return progress.ends(task, now, rate(task)).removeprefix("ends ")

    def per_time(task: Task) -> str:
        found = rate(task)
        return human.rate(found, "job") if found else ""

    speed: Column[Task] = Column("RATE", per_time, right=True)
    end: Column[Task] = Column("ENDS", ends, fit=Fit.FOLD)
    layouts = (
        (_ID, _NAME, _STATE, _PROGRESS, _DONE, _RUNNING, _FAILED, speed, end),
        (_ID, _NAME, _PERCENT, _DONE, _RUNNING, _FAILED, speed, end),
        (_ID, _NAME, _PERCENT, _RUNNING, _FAILED, end),
        (_ID, _NAME, _PERCENT, end),
    )
    yield from table.lines(first, layouts, width, coloured=coloured(sys.stderr))
    if more := len(live) - len(first):
        yield f"and {human.count(more, 'more task', 'more tasks')}"


def _percent(task: Task) -> str:
    return human.percent(task.counts.done, task.active_jobs)


def _bar(task: Task, width: int) -> str:
    counts = task.counts
    return progress.bar(counts.done, task.active_jobs, width, counts.ended - counts.done)


_ID: Column[Task] = Column("ID", lambda task: task.id, right=True)
_NAME: Column[Task] = Column("TASK", lambda task: task.name, fit=Fit.START)
_STATE: Column[Task] = Column("STATE", lambda task: task.state.value, state=True)
_PROGRESS: Column[Task] = Column(
    "PROGRESS", lambda task: f"{_bar(task, _SHORT_BAR)} {_percent(task):>5}", fit=Fit.WHOLE
)
_PERCENT: Column[Task] = Column("%", _percent, right=True)
_DONE: Column[Task] = Column(
    "DONE",
    lambda task: f"{human.number(task.counts.done)} of {human.number(task.active_jobs)}",
    right=True,
)
_RUNNING: Column[Task] = Column(
    "RUNNING", lambda task: human.number(task.counts.living), right=True
)
_FAILED: Column[Task] = Column("FAILED", lambda task: human.number(task.counts.failed), right=True)


def _print(lines: Sequence[str]) -> None:
    sys.stdout.flush()
    print("\n".join(map(one_line, lines)), file=sys.stderr, flush=True)
