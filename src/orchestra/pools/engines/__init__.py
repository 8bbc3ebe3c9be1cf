"""Engines hand out machines. Each is three verbs, with pure functions at both ends: what is asked, what was said.

`check` beside them asks what `submit` would be told. docs/engines.md says how another engine is added.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from orchestra.domain.models.pools import EngineSays, Refusal, Submission


class EngineSilent(Exception):
    """The engine has not answered, so that it is unknown whether it did what it was asked to."""


class Engine(Protocol):
    """A batch system, from a machine where its commands are. Each command takes at most `PATIENCE` seconds."""

    @property
    def kills_all(self) -> bool:
        """Whether no process of an allocation outlives it, wherever it has gone; False while that is unknown.

        It is asked for once, and again only while the engine is silent.
        """
        ...

    @property
    def kill_wait(self) -> float | None:
        """Seconds between SIGTERM and SIGKILL when an allocation is ended; None while that is unknown."""
        ...

    def submit(self, asked: Submission) -> str | Refusal:
        """Submit an allocation; return the engine's id for it, or why it was refused.

        Raises:
            EngineSilent: it may have been submitted: look it up by its name before any other.
        """
        ...

    def check(self, asked: Submission) -> Refusal | None:
        """Ask, without submitting it, whether an allocation would be refused. It may still be refused later.

        Raises:
            EngineSilent: nothing is known.
        """
        ...

    def status(self, ids: Collection[str], names: Collection[str] = ()) -> EngineSays:
        """Return what the engine says of allocations, by its id, in one call; what it does not know is left out.

        Args:
            names: of submissions without an answer, which are looked up, too.

        Raises:
            EngineSilent: nothing is known of any.
        """
        ...

    def cancel(self, ids: Collection[str], *, pending_only: bool) -> None:
        """End allocations, or only those that have not started; ids that it does not know are no error.

        Raises:
            EngineSilent: it may have been done.
        """
        ...


PATIENCE = 20.0
"""Seconds: Slurm's commands give up after 9 to 10 s without their controller."""
