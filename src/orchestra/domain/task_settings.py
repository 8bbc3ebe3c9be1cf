"""Changing the settings of a task that exists. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from orchestra.domain import human
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import parse_goal
from orchestra.domain.models.task_settings import NewSettings, SettingChange
from orchestra.domain.models.tasks import Limit, Policy, Resources, Task
from orchestra.domain.node_ranges import squeeze
from orchestra.domain.placement import placement_of
from orchestra.domain.quantities import typed_gpus
from orchestra.domain.states import Queue
from orchestra.domain.storable import LARGEST, MOST_RETRIES, check_whole
from orchestra.domain.task_resources import check_resources, with_cpus, with_gpu
from orchestra.domain.task_text import limit_in_words
from orchestra.domain.wording import Field, words

NONE = "none"


def check_limits(queue: Queue, policy: Policy, resources: Resources) -> None:
    """Refuse limits of a task that cannot be kept, and resources that no job could get.

    Raises:
        BadInput: one of them cannot be used.
    """
    check_resources(queue, resources)
    check_whole(Field.TEST_JOBS, policy.test_jobs, least=0)
    check_whole(Field.RETRIES, policy.retries, least=0, most=MOST_RETRIES)
    check_whole(Field.PRIORITY, policy.priority, least=-LARGEST)
    if policy.max_running is not None:
        check_whole(Field.MAX_RUNNING, policy.max_running, least=1)
    if policy.walltime is not None and not 0 < policy.walltime < math.inf:
        raise BadInput(words(Field.WALLTIME, " must be greater than zero."))


def changed(task: Task, given: NewSettings) -> Task:
    """Return a task with new settings.

    Raises:
        BadInput: one of them cannot be used.
    """
    policy = task.policy
    policy = replace(
        policy,
        priority=_or(given.priority, policy.priority),
        retries=_or(given.retries, policy.retries),
        max_fails=policy.max_fails if given.max_fails is None else _limit(given.max_fails),
        max_running=_amount("max_running", given.max_running, policy.max_running),
        timeout=_amount("timeout", given.timeout, policy.timeout),
        grace=_amount("grace", given.grace, policy.grace) or 0.0,
        walltime=_amount("walltime", given.walltime, policy.walltime),
    )
    resources = with_cpus(task.queue, task.resources, given.cpus, given.cores)
    resources = replace(
        resources,
        gpus=_or(given.gpus, 1 if given.gpu_milli else resources.gpus),
        memory_bytes=_amount("memory", given.memory_bytes, resources.memory_bytes),
        gpu_milli=_amount("gpus", given.gpu_milli, None if given.gpus else resources.gpu_milli),
        vram_bytes=_amount("gpu_memory", given.vram_bytes, resources.vram_bytes),
        scratch_bytes=_amount("scratch", given.scratch_bytes, resources.scratch_bytes),
        exclusive=_or(given.exclusive, resources.exclusive),
    )
    placement = placement_of(
        _or(given.constraint, task.placement.constraint),
        _or(given.nodes, task.placement.nodes),
        _or(given.not_nodes, task.placement.not_nodes),
    )
    check_limits(task.queue, policy, resources)
    goal = task.goal
    if given.goal is not None:
        goal = str(parse_goal(given.goal)) if given.goal else None
    return replace(
        task,
        policy=policy,
        resources=with_gpu(task.queue, resources),
        placement=placement,
        goal=goal,
    )


_T = TypeVar("_T")
_Number = TypeVar("_Number", int, float)


def _or(given: _T | None, present: _T) -> _T:
    return present if given is None else given


def _limit(given: Limit) -> Limit | None:
    return None if given == Limit() else given


def _amount(name: str, given: _Number | None, present: _Number | None) -> _Number | None:
    """Return an amount, None for no limit."""
    if given is None:
        return present
    if not given >= 0:
        raise BadInput(f"{name} must not be negative.")
    return given or None


@dataclass(frozen=True, slots=True)
class _Setting:
    """A setting of a task: its name, how to read it, and how to word it."""

    name: str
    of: Callable[[Task], Any]
    word: Callable[[Any], str] = str
    at_start: bool = False


def _gpus(task: Task) -> str:
    return typed_gpus(task.resources.gpus, task.resources.gpu_milli)


_SETTINGS = (
    _Setting("priority", lambda task: task.policy.priority),
    _Setting("retries", lambda task: task.policy.retries),
    _Setting("max-fails", lambda task: task.policy.max_fails, limit_in_words),
    _Setting("max-running", lambda task: task.policy.max_running),
    _Setting("timeout", lambda task: task.policy.timeout, human.duration, at_start=True),
    _Setting("grace", lambda task: task.policy.grace, human.duration, at_start=True),
    _Setting("walltime", lambda task: task.policy.walltime, human.duration, at_start=True),
    _Setting("cores", lambda task: task.resources.cores, at_start=True),
    _Setting("cpus", lambda task: task.resources.cpus_gpu_job, at_start=True),
    _Setting("gpus", _gpus, at_start=True),
    _Setting("gpu-memory", lambda task: task.resources.vram_bytes, human.size, at_start=True),
    _Setting("memory", lambda task: task.resources.memory_bytes, human.size, at_start=True),
    _Setting("scratch", lambda task: task.resources.scratch_bytes, human.size, at_start=True),
    _Setting("exclusive", lambda task: "on" if task.resources.exclusive else "off", at_start=True),
    _Setting("constraint", lambda task: task.placement.constraint or None, at_start=True),
    _Setting("node", lambda task: squeeze(task.placement.nodes) or None, at_start=True),
    _Setting("not-node", lambda task: squeeze(task.placement.not_nodes) or None, at_start=True),
    _Setting("goal", lambda task: task.goal),
)


def differences(before: Task, after: Task) -> tuple[SettingChange, ...]:
    """Return the settings in which two states of a task differ."""
    return tuple(
        SettingChange(each.name, _shown(each, before), _shown(each, after), each.at_start)
        for each in _SETTINGS
        if each.of(before) != each.of(after)
    )


def _shown(setting: _Setting, task: Task) -> str:
    value = setting.of(task)
    return NONE if value is None else setting.word(value)
