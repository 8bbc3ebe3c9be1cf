"""The short names of what one owns: `grid` for `user.ana.grid`."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.naming import is_short

TASK_PREFIX = "task:"
"""In front of a task's name where a data set could stand: its outputs are meant."""


@dataclass(frozen=True, slots=True)
class ShortNames:
    """Writes out what one user calls their own. What is no short name stays as it is."""

    username: str

    def dataset(self, text: str) -> str:
        """A data set: `grid` is `user.<username>.grid`."""
        return f"user.{self.username}.{text}" if is_short(text) else text

    def task(self, text: str) -> str:
        """A task; digits alone are its number."""
        return text if text.isdecimal() else self.dataset(text)

    def config(self, text: str) -> str:
        """A data set, or `task:` and a task."""
        if text.startswith(TASK_PREFIX):
            return TASK_PREFIX + self.task(text.removeprefix(TASK_PREFIX))
        return self.dataset(text)

    def job(self, text: str) -> str:
        """A job's address: `fit/3` is `user.<username>.fit/3`."""
        task, slash, numbers = text.rpartition("/")
        return f"{self.task(task)}{slash}{numbers}"
