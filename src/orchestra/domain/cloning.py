"""A new task with the settings of an old one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.tasks import Policy, Resources, Task
from orchestra.domain.states import Queue

_FIELDS = {
    "bind": "binds",
    "bypass": "test_jobs",
    "exec": "command",
    "memory": "memory_bytes",
    "gpu_memory": "vram_bytes",
    "scratch": "scratch_bytes",
    "node": "nodes",
    "not_node": "not_nodes",
    "metrics": "metrics_file",
}
"""The fields of options with other names."""

_TOGETHER = {"cpus": ("cores", "cpus_gpu_job"), "gpus": ("gpus", "gpu_milli")}
"""Options that set several fields."""

_REQUEST, _POLICY, _RESOURCES, _PLACEMENT = (
    frozenset(field.name for field in fields(each))
    for each in (NewTask, Policy, Resources, Placement)
)


def settings(task: Task, name: str, config: str, inputs: Mapping[str, str]) -> NewTask:
    """Return the request for a task like this one.

    Args:
        config: what its configs are, as a request names it.
        inputs: the names of its data sets by tag, without the %.
    """
    secondary = dict(inputs)
    data = secondary.pop("DATA", None)
    return NewTask(
        name=name,
        command=task.command,
        config=config,
        data=data,
        volume=task.volume,
        account=task.account,
        host="",
        secondary=secondary,
        queue=task.queue,
        image=task.image,
        env=task.env,
        policy=task.policy,
        resources=task.resources,
        complete_file=task.complete_file,
        binds=task.binds,
        metrics_file=task.metrics_file,
        after=tuple(str(each.id) for each in task.after if each.state),
        goal=task.goal,
        attach_report=task.attach_report,
        origin=task.origin,
        placement=task.placement,
    )


def changed(old: NewTask, new: NewTask, given: Collection[str]) -> NewTask:
    """Return `old` with the fields of `new` whose options were given. Variables and binds are added to the old ones.

    On another queue, a job asks for no GPU and takes no slots of before, unless they are given again.
    """
    if new.queue is Queue.CPU and old.queue is Queue.GPU:
        old = replace(
            old, resources=replace(old.resources, gpus=0, gpu_milli=None, vram_bytes=None)
        )
    wanted = {
        field for option in given for field in _TOGETHER.get(option, (_FIELDS.get(option, option),))
    }
    change: dict[str, Any] = {name: getattr(new, name) for name in wanted & _REQUEST}
    if "env" in change:
        change["env"] = {**old.env, **new.env}
    if "binds" in change:
        change["binds"] = (*old.binds, *new.binds)
    policy = {name: getattr(new.policy, name) for name in wanted & _POLICY}
    resources = {name: getattr(new.resources, name) for name in wanted & _RESOURCES}
    placement = {name: getattr(new.placement, name) for name in wanted & _PLACEMENT}
    if unknown := wanted - _REQUEST - _POLICY - _RESOURCES - _PLACEMENT:
        raise AssertionError(f"no field of a task for {sorted(unknown)}")
    return replace(
        old,
        policy=replace(old.policy, **policy),
        resources=replace(old.resources, **resources),
        placement=replace(old.placement, **placement),
        **change,
    )
