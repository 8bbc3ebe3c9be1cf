"""A form for a new task: a preview of what it would be, and its creation, once however often it is sent."""

from __future__ import annotations

import secrets

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.command_advice import notes
from orchestra.domain.errors import AlreadyExists, BadInput, NotFound, OrchestraError, Refused
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.domain.task_text import first_in_words
from orchestra.interface import codec
from orchestra.interface.answers.new_tasks import Preview
from orchestra.interface.names import ListNames
from orchestra.interface.new_tasks import CreateTask, PlanTask, SettingsOf
from orchestra.interface.operation import Interface
from orchestra.interface.problems import status_of
from orchestra.interface.selection import FindTask
from orchestra.web import task_form
from orchestra.web.forms import Form, asked, field_of, posted
from orchestra.web.rendering import go, page

COMMANDS = 3
SUGGESTED = 300
"""Names of data sets that a field suggests."""
LONGEST_KEY = 200


def show_form(call: Call) -> Response:
    """Show the form: empty, with the settings of the task `from`, or with the values of the address.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    form = asked(call)
    values = {name: form.text(name) for name in task_form.FIELDS if name in form}
    with call.server.interface(call.identity) as ask:
        if word := form.text("from"):
            new = ask(SettingsOf(word, form.text("name") or None))
            values = {**task_form.typed(new), **values}
        if not values.get("volume"):
            values["volume"] = _usual_volume(call, ask)
    return _page(call, Form.of(values.items()), like=word)


def _usual_volume(call: Call, ask: Interface) -> str:
    """Return where the newest of one's own tasks writes; else the server's setting."""
    mine = f"user.{call.identity.user.name}."
    for name in ask(ListNames("task")):
        if name.startswith(mine):
            try:
                return ask(FindTask(name)).volume
            except NotFound:
                break
    return str(call.server.settings.volume or "")


def carry_out(call: Call) -> Response:
    """Show what the task would be, or create it.

    Raises:
        BadInput: this is not the form.
    """
    form = posted(call)
    creates = form.text("do") == "create"
    try:
        who = call.identity
        new = task_form.request(
            form,
            who.user.name,
            account=who.account or "",
            host=who.host or "",
            complete_file=call.server.settings.job_complete_file_name,
        )
        if not creates:
            return _page(call, form, preview=call.ask(PlanTask(new, COMMANDS)), new=new)
        task = _create(call, form.text("key"), new)
    except (BadInput, NotFound, AlreadyExists, Refused) as error:
        return _page(call, form, error=error)
    return go(call, f"/tasks/{task.id}", f"Task {task.id} ({task.name}) is created.")


def _create(call: Call, key: str, new: NewTask) -> Task:
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise BadInput("this form has lost its key.", hint="Preview the task once more.")
    answer = call.server.once(call.identity, key, CreateTask(new))
    task: Task = codec.decode(Task, answer)
    return task


def _page(
    call: Call,
    form: Form,
    *,
    like: str = "",
    preview: Preview | None = None,
    new: NewTask | None = None,
    error: OrchestraError | None = None,
) -> Response:
    wrong = field_of(error) if error else None
    mine = f"user.{call.identity.user.name}."
    names: tuple[str, ...] = call.ask(ListNames("dataset"))
    return page(
        call,
        "new_task.html",
        status=status_of(error) if error else 200,
        here="Tasks",
        form=form,
        like=like,
        important=task_form.IMPORTANT,
        parts=[
            (title, fields, any(form.text(each.name) or each.name == wrong for each in fields))
            for title, fields in task_form.PARTS
        ],
        datasets=sorted(names, key=lambda name: not name.startswith(mine))[:SUGGESTED],
        preview=preview,
        first=first_in_words(new.policy, preview.jobs) if new and preview else "",
        notes=_notes(preview) if preview else [],
        sent={name: form.text(name) for name in task_form.FIELDS if form.text(name)},
        key=secrets.token_urlsafe(24),
        error=error,
        wrong=wrong if wrong in task_form.FIELDS else None,
    )


def _notes(preview: Preview) -> list[str]:
    unserved = [f"{preview.unserved}. The task waits until one can."] if preview.unserved else []
    return [*unserved, *(said for _, said in notes(preview.command, preview.sources))]


ENDPOINTS = (
    Endpoint("GET", "/tasks/new", show_form),
    Endpoint("POST", "/tasks/new", carry_out),
)
