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
from orchestra.domain.quantities import (
    parse_duration,
    parse_limit,
    parse_size,
    typed_duration,
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
    """A field of the form: its value in a task as text, how to read it, and what it is if it is left empty."""

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
    Setting("cores", "CPU slots a job", lambda task: str(task.resources.cores), _whole),
    Setting("gpus", "GPU slots a job", lambda task: str(task.resources.gpus), _whole),
    Setting(
        "memory", "Memory a job", lambda task: _typed(typed_size, task.resources.memory_bytes), parse_size, 0,
        "A job that uses more is ended: 4G. Empty: no limit.", field="memory_bytes",
    ),
)  # fmt: skip


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
    without = "gpus" if task.queue is Queue.CPU else ""
    return tuple(each for each in (*AT_ONCE, *AT_START) if each.name != without)


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
        given[each.field or each.name] = value
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
