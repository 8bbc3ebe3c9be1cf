"""The settings of a task that can be changed while it lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain import human
from orchestra.domain.errors import BadInput, NotAllowed, NotFound, OrchestraError, Refused
from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.tasks import Limit, Task
from orchestra.domain.node_ranges import squeeze
from orchestra.domain.quantities import (
    parse_duration,
    parse_gpus,
    parse_limit,
    parse_size,
    typed_duration,
    typed_gpus,
    typed_limit,
    typed_size,
)
from orchestra.domain.states import Queue
from orchestra.interface.problems import status_of
from orchestra.interface.task_changes import OwnTask, SetTask
from orchestra.web.forms import Form, posted
from orchestra.web.pages.tasks import number_of
from orchestra.web.rendering import go, page

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of the form: its value in a task as text, how to read it, and what it is if it is left empty.

    What is read is the value of `field`, or several values by the names of their fields.
    """

    name: str
    label: str
    of: Callable[[Task], str]
    read: Callable[[str], Any]
    empty: Any = None
    hint: str = ""
    field: str = ""


def _whole(text: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise BadInput(f'"{human.one_line(text, 40)}" is not a whole number.')
    return int(text)


def _typed(write: Callable[[T], str], value: T | None) -> str:
    return "" if value is None else write(value)


def _gpus(task: Task) -> str:
    return typed_gpus(task.resources.gpus, task.resources.gpu_milli)


def _read_gpus(text: str) -> dict[str, int]:
    gpus, milli = parse_gpus(text)
    return {"gpus": gpus, "gpu_milli": milli or 0}


def _read_switch(text: str) -> bool:
    if text not in ("on", "off"):
        raise BadInput(f'"{human.one_line(text, 40)}" is neither on nor off.')
    return text == "on"


def _read_names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


AT_ONCE = (
    Setting(
        "priority", "Priority", lambda task: str(task.policy.priority), _whole,
        hint="Its owner's tasks with a higher priority go first.",
    ),
    Setting(
        "retries", "Retries", lambda task: str(task.policy.retries), _whole,
        hint="How often a job that fails from now on is run again.",
    ),
    Setting(
        "max_fails", "Failures at most", lambda task: _typed(typed_limit, task.policy.max_fails), parse_limit, Limit(),
        "The task is held when so many jobs have failed: a number, or a percentage. Empty: no limit.",
    ),
    Setting(
        "max_running", "Running at most", lambda task: str(task.policy.max_running or ""), _whole, 0,
        "Jobs that run at a time. Empty: no limit.",
    ),
    Setting(
        "goal", "Goal", lambda task: task.goal or "", str, "",
        "The metric whose lowest or highest value is best: min:loss or max:accuracy.",
    ),
)  # fmt: skip
AT_START = (
    Setting(
        "timeout", "Time at most", lambda task: _typed(typed_duration, task.policy.timeout), parse_duration, 0,
        "A job that runs longer is ended: 90m, 2h. Empty: no limit.",
    ),
    Setting(
        "grace", "Grace", lambda task: _typed(typed_duration, task.policy.grace), parse_duration,
        hint="Between SIGTERM and SIGKILL, when a job is ended.",
    ),
    Setting(
        "walltime", "Expected time at most", lambda task: _typed(typed_duration, task.policy.walltime), parse_duration,
        0, "To plan with; it ends no job: 2h. Empty: the time above.",
    ),
    Setting("cores", "CPU slots a job", lambda task: str(task.resources.cores), _whole),
    Setting(
        "cpus", "CPU slots a GPU job", lambda task: str(task.resources.cpus_gpu_job), _whole,
        hint="That it takes besides its GPU; CPU slots above are then the processors that its libraries use.",
    ),
    Setting("gpus", "GPUs a job", _gpus, _read_gpus, hint="0.5 is half of one, which other jobs share."),
    Setting(
        "gpu_memory", "Memory of a GPU", lambda task: _typed(typed_size, task.resources.vram_bytes), parse_size, 0,
        "That it needs on each, and takes of a shared one: 20G. Empty: any.", field="vram_bytes",
    ),
    Setting(
        "memory", "Memory a job", lambda task: _typed(typed_size, task.resources.memory_bytes), parse_size, 0,
        "The node must have it free; a job that uses more is ended: 4G. Empty: no limit.", field="memory_bytes",
    ),
    Setting(
        "scratch", "Scratch space", lambda task: _typed(typed_size, task.resources.scratch_bytes), parse_size, 0,
        "On the node's own disk: 20G. Empty: any.", field="scratch_bytes",
    ),
    Setting(
        "exclusive", "Alone on its node", lambda task: "on" if task.resources.exclusive else "off", _read_switch,
        hint="Whether no other job runs there: on or off.",
    ),
    Setting(
        "constraint", "Nodes with", lambda task: task.placement.constraint, str, "",
        "Labels that a node must have: gpu=a100|h100, memory>=64GB. Empty: any.",
    ),
    Setting(
        "node", "Only on nodes", lambda task: squeeze(task.placement.nodes), _read_names, (),
        "Separated by spaces: gpu[01-04]. Empty: all.", field="nodes",
    ),
    Setting(
        "not_node", "Not on nodes", lambda task: squeeze(task.placement.not_nodes), _read_names, (), field="not_nodes",
    ),
)  # fmt: skip
ONLY_GPU = ("gpus", "cpus", "gpu_memory")
"""Settings that a task of the cpu queue does not have."""


def edit(call: Call) -> Response:
    """Show the form with a task's settings.

    Raises:
        NotFound, NotAllowed: there is no such task, or it belongs to somebody else.
    """
    task = call.ask(OwnTask(number_of(call)))
    return _form(call, task, Form.of((each.name, each.of(task)) for each in _settings(task)))


def change(call: Call) -> Response:
    """Change what differs from the task's settings.

    Raises:
        NotFound, NotAllowed: there is no such task, or it belongs to somebody else.
    """
    form = posted(call)
    task = call.ask(OwnTask(number_of(call)))
    try:
        changes = call.ask(SetTask(task.id, _given(task, form))).changes
    except (NotAllowed, NotFound):
        raise
    except (BadInput, Refused) as error:
        return _form(call, task, form, error)
    said = ", ".join(f"{each.name} {each.after} (was {each.before})" for each in changes)
    return go(call, f"/tasks/{task.id}", f"Changed: {said}." if said else "Nothing was changed.")


def _settings(task: Task) -> tuple[Setting, ...]:
    without = ONLY_GPU if task.queue is Queue.CPU else ()
    return tuple(each for each in (*AT_ONCE, *AT_START) if each.name not in without)


def _given(task: Task, form: Form) -> NewSettings:
    """Return what the form changes.

    Raises:
        BadInput: a value cannot be read; names its field.
    """
    given: dict[str, Any] = {}
    for each in _settings(task):
        text = form.text(each.name)
        if each.name not in form or text == each.of(task):
            continue
        try:
            value = each.read(text) if text else each.empty
            if value is None:
                raise BadInput(f"{each.label} needs a value.")
        except BadInput as error:
            raise BadInput(error.message, hint=error.remedy, field=each.name) from None
        given |= value if isinstance(value, dict) else {each.field or each.name: value}
    return NewSettings(**given)


def _form(call: Call, task: Task, form: Form, error: OrchestraError | None = None) -> Response:
    names = {each.name for each in AT_START}
    return page(
        call,
        "task_settings.html",
        status=status_of(error) if error else 200,
        here="Tasks",
        task=task,
        at_once=[each for each in _settings(task) if each.name not in names],
        at_start=[each for each in _settings(task) if each.name in names],
        form=form,
        error=error,
        wrong=error.params.get("field") if error else None,
    )


ENDPOINTS = (
    Endpoint("GET", "/tasks/{task}/settings", edit),
    Endpoint("POST", "/tasks/{task}/settings", change),
)
