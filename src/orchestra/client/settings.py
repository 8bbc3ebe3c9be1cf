"""New settings of a task, as `Task.set` takes them."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from orchestra.client import words
from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.tasks import Limit
from orchestra.domain.storable import LARGEST


class _Keep(Enum):
    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED = _Keep.UNCHANGED
"""The default of a setting that can be None."""
Unchanged = Literal[_Keep.UNCHANGED]


def new_settings(
    *,
    priority: int | None,
    retries: int | None,
    max_fails: int | str | Unchanged | None,
    max_running: int | Unchanged | None,
    timeout: words.Duration | Unchanged | None,
    grace: words.Duration | None,
    cores: int | None,
    gpus: int | None,
    memory: int | str | Unchanged | None,
    goal: str | Unchanged | None,
) -> NewSettings:
    """Return new settings; UNCHANGED, or None where that is no value, leaves one as it is.

    Raises:
        BadInput: a value cannot be used.
    """
    return NewSettings(
        priority=_whole("priority", priority, least=-LARGEST),
        retries=_whole("retries", retries, least=0),
        max_fails=None if max_fails is UNCHANGED else words.limit(max_fails) or Limit(),
        max_running=(
            None if max_running is UNCHANGED else _whole("max_running", max_running, least=1) or 0
        ),
        timeout=None if timeout is UNCHANGED else words.some_seconds("timeout", timeout) or 0,
        grace=None if grace is None else words.seconds("grace", grace),
        cores=_whole("cores", cores, least=1),
        gpus=_whole("gpus", gpus, least=1),
        memory_bytes=None if memory is UNCHANGED else words.size("memory", memory) or 0,
        goal=None if goal is UNCHANGED else goal or "",
    )


def _whole(name: str, value: int | None, *, least: int) -> int | None:
    return None if value is None else words.whole(name, value, least=least)
