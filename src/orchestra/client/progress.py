"""How far a task is, in one line: one that changes on a terminal or in a notebook, else one a state."""

from __future__ import annotations

import shutil
import sys
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from orchestra.domain import human
from orchestra.domain.models import Task

_BAR = 20
_EVERY = 0.2


class Display(Protocol):
    """Where it is shown."""

    def show(self, task: Task) -> None:
        """Show how far a task is."""

    def away(self, why: str) -> None:
        """Say that nobody knows at present."""

    def close(self) -> None:
        """Leave the last line as it is."""


def display(wanted: bool) -> Display:
    """Give what fits the place where the program runs."""
    if not wanted:
        return _Nowhere()
    if _in_notebook():
        return _Notebook()
    return _Terminal() if sys.stderr.isatty() else _Lines()


def line(task: Task) -> str:
    """Say how far a task is."""
    from orchestra.services.estimates import ends

    counts = task.counts
    filled = _BAR * counts.ended // max(1, task.jobs)
    parts = [f"{counts.done} of {human.count(task.jobs, 'job')} done"]
    named = (("running", counts.living), ("failed", counts.failed), ("killed", counts.killed))
    parts += [f"{number} {name}" for name, number in named if number]
    if task.hold and task.state.is_live:
        parts.append(f"held by {task.hold.by}: {human.one_line(task.hold.reason)}")
    elif (end := ends(task, datetime.now(UTC))).seconds is not None:
        parts.append(f"ends {human.relative(end.seconds)}")
    elif task.after and end.words:
        parts.append(end.words)
    bar = "#" * filled + "." * (_BAR - filled)
    return f"{task.name} {task.state} [{bar}] {', '.join(parts)}"


class _Nowhere:
    def show(self, task: Task) -> None:
        """Nobody wants to know."""

    def away(self, why: str) -> None:
        """Nobody wants to know."""

    def close(self) -> None:
        """There is nothing to leave."""


class _Lines:
    """A line for each state or hold, and whenever the database goes away."""

    def __init__(self) -> None:
        self._last: object = None

    def show(self, task: Task) -> None:
        self._say((task.state, task.hold), line(task))

    def away(self, why: str) -> None:
        self._say("away", f"{why} Waiting for it.")

    def _say(self, what: object, text: str) -> None:
        if what != self._last:
            self._last = what
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Each line is complete."""


class _Terminal:
    """One line, written over."""

    def __init__(self) -> None:
        self._written = False

    def show(self, task: Task) -> None:
        self._write(line(task))

    def away(self, why: str) -> None:
        self._write(f"{why} Waiting for it.")

    def _write(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()
        self._written = True

    def close(self) -> None:
        if self._written:
            sys.stderr.write("\n")
            sys.stderr.flush()


class _Notebook:
    """One output of the cell, written over. A notebook keeps each version in its file's history, so not too often."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._next = 0.0
        self._text = ""

    def show(self, task: Task) -> None:
        self._write(line(task), now=not task.state.is_live)

    def away(self, why: str) -> None:
        self._write(f"{why} Waiting for it.")

    def _write(self, text: str, *, now: bool = False) -> None:
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


def _in_notebook() -> bool:
    """Whether a kernel shows what this prints; IPython on a terminal has none."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None
