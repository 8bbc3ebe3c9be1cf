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
        unserved: why no node could run one of its jobs, as the nodes are: "no node can ..."; None if one could.
    """

    name: str
    queue: Queue
    image: str | None
    folder: str
    jobs: int
    command: str
    commands: tuple[str, ...]
    sources: tuple[Source, ...]
    unserved: str | None = None
