"""Previews of tasks."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.sources import Source
from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class Preview:
    """A task that could be created.

    Args:
        command: the template; `commands` are those of its first jobs, as their first attempts would run them.
        sources: the source of each tag, except %IN and %OUT.
    """

    name: str
    queue: Queue
    image: str | None
    folder: str
    jobs: int
    command: str
    commands: tuple[str, ...]
    sources: tuple[Source, ...]
