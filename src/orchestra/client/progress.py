"""A task's progress: one line that is updated on a terminal or in a notebook, else a line for each state."""

from __future__ import annotations

import os
import shutil
import sys
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from orchestra.domain import progress
from orchestra.domain.escaping import escaped
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import TaskState

_BAR = 20
_EVERY = 0.2


class Display(Protocol):
    """Where progress is shown."""

    def show(self, task: Task, why: str) -> None:
        """Show a task's progress, and why nothing of it runs, if there is a reason."""

    def away(self, why: str) -> None:
        """Show that the database is unavailable."""

    def close(self) -> None:
        """Leave the last line as it is."""


def display(wanted: bool) -> Display:
    """Return the display for where the program runs."""
    if not wanted:
        return _Nowhere()
    if _in_notebook():
        return _Notebook()
    can_draw = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return _Terminal() if can_draw else _Lines()


def line(task: Task) -> str:
    """Return a task's progress in one line."""
    counts = task.counts
    drawn = progress.bar(counts.done, task.active_jobs, _BAR, counts.ended - counts.done)
    parts = [*progress.counted(task), progress.ends(task, datetime.now(UTC))]
    return f"{escaped(task.name)} {task.state} [{drawn}] {', '.join(filter(None, parts))}"


class _Nowhere:
    def show(self, task: Task, why: str) -> None:
        """Show nothing."""

    def away(self, why: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Lines:
    """A line for each state and each reason, and each time that the database becomes unavailable."""

    def __init__(self) -> None:
        self._state: TaskState | None = None
        self._why = ""

    def show(self, task: Task, why: str) -> None:
        if task.state is not self._state:
            self._state = task.state
            _write(f"{line(task)}\n")
        self._say(why)

    def away(self, why: str) -> None:
        self._say(_away(why))

    def _say(self, why: str) -> None:
        if why and why != self._why:
            _write(f"    {why}\n")
        self._why = why

    def close(self) -> None:
        """Each line is complete."""


class _Terminal:
    """One line that is overwritten; a reason stays above it, since it may be longer than the line."""

    def __init__(self) -> None:
        self._why = ""
        self._line = ""

    def show(self, task: Task, why: str) -> None:
        self._line = line(task)
        self._say(why)

    def away(self, why: str) -> None:
        self._say(_away(why))

    def _say(self, why: str) -> None:
        above = f"{why}\n" if why and why != self._why else ""
        self._why = why
        width = shutil.get_terminal_size().columns - 1
        _write(f"\r\x1b[K{above}{self._line[:width]}")

    def close(self) -> None:
        if self._line:
            _write("\n")


class _Notebook:
    """One output of the cell that is updated; not too often, since each version goes over the network."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = 0.0
        self._line = ""
        self._text = ""

    def show(self, task: Task, why: str) -> None:
        self._line = line(task)
        self._publish(why, now=not task.state.is_live)

    def away(self, why: str) -> None:
        self._publish(_away(why))

    def _publish(self, why: str, *, now: bool = False) -> None:
        text = f"{self._line}\n{why}".strip()
        if text == self._text or (time.monotonic() < self._next and not now):
            return
        from IPython.display import display as show

        self._text, self._next = text, time.monotonic() + _EVERY
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = show(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def close(self) -> None:
        """The output stays."""


def _away(why: str) -> str:
    return f"{escaped(why)} Waiting for it."


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _in_notebook() -> bool:
    """Whether the program runs in a notebook's kernel; IPython on a terminal has none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
