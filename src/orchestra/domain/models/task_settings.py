"""Settings of a task that can be changed while it lives."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.tasks import Limit


@dataclass(frozen=True, slots=True)
class NewSettings:
    """New settings of a task. None leaves one as it is; 0, an empty `Limit` or an empty goal removes a limit or a goal;
    an empty constraint or list of nodes removes that.

    Times are in seconds. `cpus` are the CPU slots of a job, whatever its queue; `cores` are the same on the cpu queue,
    and the processors that its libraries use on the gpu queue. Whole GPUs have a `gpu_milli` of 0.
    """

    priority: int | None = None
    retries: int | None = None
    max_fails: Limit | None = None
    max_running: int | None = None
    timeout: float | None = None
    grace: float | None = None
    cores: int | None = None
    gpus: int | None = None
    memory_bytes: int | None = None
    goal: str | None = None
    walltime: float | None = None
    cpus: int | None = None
    gpu_milli: int | None = None
    vram_bytes: int | None = None
    scratch_bytes: int | None = None
    exclusive: bool | None = None
    constraint: str | None = None
    nodes: tuple[str, ...] | None = None
    not_nodes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting that was changed: its name and its values in words.

    `at_start`: jobs get it when they start, so that running ones keep the old value.
    """

    name: str
    before: str
    after: str
    at_start: bool = False
