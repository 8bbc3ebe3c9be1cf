"""Changing the settings of a task that exists. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from orchestra.domain import human
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import parse_goal
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.task_settings import NewSettings, SettingChange
from orchestra.domain.models.tasks import Limit, Policy, Resources, Task
from orchestra.domain.states import Queue
from orchestra.domain.storable import LARGEST, MOST_RETRIES, check_whole
from orchestra.domain.task_text import limit_in_words
from orchestra.domain.wording import Field, words

NONE = "none"


def check_limits(queue: Queue, policy: Policy, resources: Resources) -> None:
    """Refuse limits of a task that cannot be kept, and GPUs on the cpu queue.

    Raises:
        BadInput: one of them cannot be used.
    """
    if queue is Queue.CPU and resources.gpus:
        raise BadInput(
            "jobs on the cpu queue get no GPU.",
            hint=words(Field.QUEUE("gpu"), " gives each of them one or more."),
        )
    check_whole(Field.TEST_JOBS, policy.test_jobs, least=0)
    check_whole(Field.RETRIES, policy.retries, least=0, most=MOST_RETRIES)
    check_whole(Field.PRIORITY, policy.priority, least=-LARGEST)
    if policy.max_running is not None:
        check_whole(Field.MAX_RUNNING, policy.max_running, least=1)
    check_whole(Field.CORES, resources.cores, least=1)
    check_whole(Field.GPUS, resources.gpus, least=0)


def with_gpu(queue: Queue, resources: Resources) -> Resources:
    """Return what a job takes: on the gpu queue one GPU unless it asks for more."""
    return replace(resources, gpus=max(1, resources.gpus)) if queue is Queue.GPU else resources


def changed(task: Task, given: NewSettings) -> Task:
    """Return a task with new settings.

    Raises:
        BadInput: one of them cannot be used.
    """
    policy, resources = task.policy, task.resources
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
    resources = Resources(
        cores=_or(given.cores, resources.cores),
        gpus=_or(given.gpus, resources.gpus),
        memory_bytes=_amount("memory", given.memory_bytes, resources.memory_bytes),
        cpus_gpu_job=_or(given.cpus_gpu_job, resources.cpus_gpu_job),
        gpu_milli=_amount("gpus", given.gpu_milli, resources.gpu_milli),
        vram_bytes=_amount("gpu_memory", given.vram_bytes, resources.vram_bytes),
        scratch_bytes=_amount("scratch", given.scratch_bytes, resources.scratch_bytes),
        exclusive=_or(given.exclusive, resources.exclusive),
    )
    placement = Placement(
        constraint=_or(given.constraint, task.placement.constraint),
        nodes=_or(given.nodes, task.placement.nodes),
        not_nodes=_or(given.not_nodes, task.placement.not_nodes),
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


_SETTINGS = (
    _Setting("priority", lambda task: task.policy.priority),
    _Setting("retries", lambda task: task.policy.retries),
    _Setting("max-fails", lambda task: task.policy.max_fails, limit_in_words),
    _Setting("max-running", lambda task: task.policy.max_running),
    _Setting("timeout", lambda task: task.policy.timeout, human.duration, at_start=True),
    _Setting("grace", lambda task: task.policy.grace, human.duration, at_start=True),
    _Setting("cores", lambda task: task.resources.cores, at_start=True),
    _Setting("gpus", lambda task: task.resources.gpus, at_start=True),
    _Setting("memory", lambda task: task.resources.memory_bytes, human.size, at_start=True),
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
