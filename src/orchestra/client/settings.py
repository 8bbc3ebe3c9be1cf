"""New settings of a task, as `Task.set` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Literal

from orchestra.client import words
from orchestra.domain.errors import BadInput
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
    walltime: words.Duration | Unchanged | None,
    cpus: int | None,
    cores: int | None,
    gpus: float | str | None,
    gpu_memory: int | str | Unchanged | None,
    memory: int | str | Unchanged | None,
    scratch: int | str | Unchanged | None,
    exclusive: bool | None,
    constraint: str | Unchanged | None,
    node: str | Sequence[str] | Unchanged | None,
    not_node: str | Sequence[str] | Unchanged | None,
    goal: str | Unchanged | None,
) -> NewSettings:
    """Return new settings; UNCHANGED, or None where that is no value, leaves one as it is.

    Raises:
        BadInput: a value cannot be used.
    """
    number, milli = (None, None) if gpus is None else words.some_gpus(gpus)
    if number == 0:
        raise BadInput("gpus needs at least 1, or a part of one.")
    return NewSettings(
        priority=_whole("priority", priority, least=-LARGEST),
        retries=_whole("retries", retries, least=0),
        max_fails=None if max_fails is UNCHANGED else words.limit(max_fails) or Limit(),
        max_running=(
            None if max_running is UNCHANGED else _whole("max_running", max_running, least=1) or 0
        ),
        timeout=None if timeout is UNCHANGED else words.some_seconds("timeout", timeout) or 0,
        grace=None if grace is None else words.seconds("grace", grace),
        walltime=None if walltime is UNCHANGED else words.some_seconds("walltime", walltime) or 0,
        cpus=_whole("cpus", cpus, least=0),
        cores=_whole("cores", cores, least=1),
        gpus=number,
        gpu_milli=None if number is None else milli or 0,
        vram_bytes=_size("gpu_memory", gpu_memory),
        memory_bytes=_size("memory", memory),
        scratch_bytes=_size("scratch", scratch),
        exclusive=None if exclusive is None else bool(exclusive),
        constraint=None if constraint is UNCHANGED else constraint or "",
        nodes=None if node is UNCHANGED else words.names(node),
        not_nodes=None if not_node is UNCHANGED else words.names(not_node),
        goal=None if goal is UNCHANGED else goal or "",
    )


def _size(name: str, value: int | str | Unchanged | None) -> int | None:
    return None if value is UNCHANGED else words.size(name, value) or 0


def _whole(name: str, value: int | None, *, least: int) -> int | None:
    return None if value is None else words.whole(name, value, least=least)
