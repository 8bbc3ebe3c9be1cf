"""Short names of a user's own data sets and tasks: `grid` for `user.ana.grid`."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.naming import is_short

TASK_PREFIX = "task:"
"""Before a task's name in place of a data set: the task's outputs."""


@dataclass(frozen=True, slots=True)
class ShortNames:
    """Expands the short names of one user. Anything else stays as it is."""

    username: str

    def dataset(self, text: str) -> str:
        """Expand a data set: `grid` to `user.<username>.grid`."""
        return f"user.{self.username}.{text}" if is_short(text) else text

    def task(self, text: str) -> str:
        """Expand a task; digits are its number."""
        return text if text.isdecimal() else self.dataset(text)

    def config(self, text: str) -> str:
        """Expand a data set, or `task:` and a task."""
        if text.startswith(TASK_PREFIX):
            return TASK_PREFIX + self.task(text.removeprefix(TASK_PREFIX))
        return self.dataset(text)

    def job(self, text: str) -> str:
        """Expand a job's address: `fit/3` to `user.<username>.fit/3`."""
        task, slash, numbers = text.rpartition("/")
        return f"{self.task(task)}{slash}{numbers}"
