"""The list of tasks."""

from __future__ import annotations

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.states import TaskState
from orchestra.interface.selection import FindTask
from orchestra.interface.tasks import ListTasks
from orchestra.web.forms import asked, number
from orchestra.web.rendering import page

PAGE = 50


def show(call: Call) -> Response:
    """Show a page of tasks, the newest first: those of who asks unless others are asked for.

    Raises:
        BadInput: there is no such state.
        NotFound: there is no such user.
    """
    form = asked(call)
    user, everybody = form.text("user"), form.ticked("all")
    owner = user or (None if everybody else call.identity.user.name)
    before = number(form, "before", 0) or None
    name, state = form.text("name"), _state(form.text("state"))
    lines = call.ask(
        ListTasks(owner, every=True, state=state, name=name or None, before=before, limit=PAGE + 1)
    )[::-1]
    shown = lines[:PAGE]
    return page(
        call,
        "tasks.html",
        here="Tasks",
        lines=shown,
        following=shown[-1].task.id if len(lines) > PAGE else None,
        first=before is None,
        states=list(TaskState),
        filters={
            "user": user,
            "all": "true" if everybody and not user else "",
            "state": state or "",
            "name": name,
        },
        filtered=bool(state or name),
        of=owner,
    )


def _state(text: str) -> TaskState | None:
    if text and text not in set(TaskState):
        raise BadInput(f'there is no state "{text[:40]}" of tasks.')
    return TaskState(text) if text else None


def number_of(call: Call) -> int:
    """Return the number of the task in an address, where its name may stand, too.

    Raises:
        NotFound: there is no such task.
    """
    try:
        return call.ask(FindTask(call.params["task"])).id
    except BadInput:
        raise NotFound("there is no such task.") from None


ENDPOINTS = (Endpoint("GET", "/tasks", show),)
