"""Changes of a task and of groups of its jobs: each is a page that says what would happen, and a form that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain import human
from orchestra.domain.consequences import TaskAction
from orchestra.domain.errors import BadInput, NotAllowed, NotFound, OrchestraError, Refused
from orchestra.domain.failure_reasons import parse_reason
from orchestra.domain.models.job_choice import JobChoice
from orchestra.domain.task_text import STATUS_WORDS
from orchestra.interface.answers.consequences import Consequences
from orchestra.interface.consequences import ConsequencesOf
from orchestra.interface.job_matches import KillMatching, RetryMatching, every_match
from orchestra.interface.problems import status_of
from orchestra.interface.task_changes import (
    DeleteTask,
    HoldTask,
    KillTask,
    ReleaseTask,
    RetryTask,
)
from orchestra.web.forms import Form, asked, posted
from orchestra.web.pages.task import choice_of, filters
from orchestra.web.pages.tasks import number_of
from orchestra.web.rendering import go, page

Asked = Literal["reason", "bypass", "every"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a page asks before a change, and what carries it out; `does` returns what was done, in a sentence."""

    verb: str
    action: Callable[[Form], TaskAction]
    does: Callable[[Call, int, Form], str]
    kind: str = "primary"
    asks: tuple[Asked, ...] = ()
    back: str = "/tasks/{task}"


def _hold(call: Call, task: int, form: Form) -> str:
    call.ask(HoldTask(task, form.text("why") or None))
    return f"Task {task} is held."


def _release(call: Call, task: int, _form: Form) -> str:
    call.ask(ReleaseTask(task))
    return f"Task {task} is released."


def _retry(call: Call, task: int, form: Form) -> str:
    done = call.ask(RetryTask(task, every=form.ticked("every"), bypass=form.ticked("bypass")))
    return f"Task {task} runs again: it is {done.step.state}."


def _kill(call: Call, task: int, form: Form) -> str:
    done = call.ask(KillTask(task, form.text("why") or None))
    if done.step.again:
        return f"Task {task} was {done.before.state} already."
    return f"Task {task} is being killed; {human.count(done.alive, 'running job')}."


def _delete(call: Call, task: int, _form: Form) -> str:
    before = call.ask(DeleteTask(task)).before
    return f"Task {task} ({before.name}) is deleted. Its files stay in {before.folder}"


CHANGES = {
    "hold": Question("Hold", lambda _: TaskAction.HOLD, _hold, asks=("reason",)),
    "release": Question("Release", lambda _: TaskAction.RELEASE, _release),
    "retry": Question(
        "Retry",
        lambda form: TaskAction.RETRY_ALL if form.ticked("every") else TaskAction.RETRY,
        _retry,
        asks=("bypass", "every"),
    ),
    "kill": Question("Kill", lambda _: TaskAction.KILL, _kill, "danger", ("reason",)),
    "delete": Question("Delete", lambda _: TaskAction.DELETE, _delete, "danger", back="/tasks"),
}
"""The changes of a whole task, by the last part of their addresses."""


def ask_first(change: str, call: Call) -> Response:
    """Say what a change of a task would do.

    Raises:
        NotFound: there is no such task.
    """
    return _question(call, change, number_of(call), asked(call))


def carry_out(change: str, call: Call) -> Response:
    """Carry out a change of a task, or ask again where it was refused.

    Raises:
        NotFound, NotAllowed: there is no such task, or it belongs to somebody else.
    """
    task, form = number_of(call), posted(call)
    try:
        note = CHANGES[change].does(call, task, form)
    except (NotAllowed, NotFound):
        raise
    except (BadInput, Refused) as error:
        return _question(call, change, task, form, error)
    return go(call, CHANGES[change].back.format(task=task), note)


def _question(
    call: Call, change: str, task: int, form: Form, error: OrchestraError | None = None
) -> Response:
    question = CHANGES[change]
    would = call.ask(ConsequencesOf(str(task), question.action(form)))
    asks = question.asks if would.task.counts.done else tuple({*question.asks} - {"every"})
    return _page(
        call,
        would,
        f"{question.verb} task {task} ({would.task.name})?",
        question.verb,
        f"/tasks/{task}/{change}",
        form,
        error,
        kind=question.kind,
        asks=asks,
    )


def _page(
    call: Call,
    would: Consequences,
    question: str,
    button: str,
    path: str,
    form: Form,
    error: OrchestraError | None,
    **values: object,
) -> Response:
    return page(
        call,
        "task_question.html",
        status=status_of(error) if error else 200,
        here="Tasks",
        question=question,
        consequences=would.sentences,
        refused=Refused(would.refusal) if would.refusal and not error else None,
        button=button,
        path=path,
        back=f"/tasks/{would.task.id}",
        form=form,
        error=error,
        **values,
    )


# Groups of jobs


def ask_about_jobs(action: TaskAction, call: Call) -> Response:
    """Say what a change of the jobs that match would do.

    Raises:
        NotFound: there is no such task.
        BadInput: the filter is invalid.
    """
    form = asked(call)
    return _about_jobs(call, action, number_of(call), choice_of(form), form)


def change_jobs(action: TaskAction, call: Call) -> Response:
    """Change all jobs that match, or ask again where it was refused.

    Raises:
        NotFound, NotAllowed: there is no such task, or it belongs to somebody else.
        BadInput: the filter is invalid.
    """
    task, form = number_of(call), posted(call)
    choice = choice_of(form)
    try:
        with call.server.interface(call.identity) as ask:
            if action is TaskAction.RETRY_JOBS:
                retry = RetryMatching(task, **filters(choice))
                said = f"{human.count(every_match(ask, retry).jobs, 'job')} to run again."
            else:
                kill = KillMatching(task, **filters(choice), why=form.text("why") or None)
                jobs = every_match(ask, kill).jobs
                said = f"{human.count(jobs, 'job')} killed or being killed."
    except Refused as error:
        if isinstance(error, NotAllowed):
            raise
        return _about_jobs(call, action, task, choice, form, error)
    return go(call, f"/tasks/{task}", said)


def _about_jobs(
    call: Call,
    action: TaskAction,
    task: int,
    choice: JobChoice,
    form: Form,
    error: OrchestraError | None = None,
) -> Response:
    would = call.ask(ConsequencesOf(str(task), action, **filters(choice)))
    retry = action is TaskAction.RETRY_JOBS
    verb = "Retry" if retry else "Kill"
    return _page(
        call,
        would,
        f"{verb} {_which(choice)} of task {task} ({would.task.name})?",
        verb,
        f"/tasks/{task}/jobs/{'retry' if retry else 'kill'}",
        form,
        error,
        kind="primary" if retry else "danger",
        asks=() if retry else ("reason",),
        hidden={name: value for name, value in filters(choice).items() if value},
    )


def _which(choice: JobChoice) -> str:
    """Return which jobs are meant: `the failed jobs on gauss that ended by exit status 3`."""
    words = ["the"]
    if choice.status:
        words.append(STATUS_WORDS.get(choice.status, choice.status.value))
    words.append("jobs")
    words += [f"on {choice.node}"] if choice.node else []
    words += [f"with configs {choice.config}"] if choice.config else []
    words += [f"that ended by “{parse_reason(choice.reason).words}”"] if choice.reason else []
    words += [f"whose logs end with “{choice.line}”"] if choice.line else []
    return human.one_line(" ".join(words), 300)


_JOBS = (("retry", TaskAction.RETRY_JOBS), ("kill", TaskAction.KILL_JOBS))
ENDPOINTS = (
    *(Endpoint("GET", f"/tasks/{{task}}/{each}", partial(ask_first, each)) for each in CHANGES),
    *(Endpoint("POST", f"/tasks/{{task}}/{each}", partial(carry_out, each)) for each in CHANGES),
    *(Endpoint("GET", f"/tasks/{{task}}/jobs/{n}", partial(ask_about_jobs, a)) for n, a in _JOBS),
    *(Endpoint("POST", f"/tasks/{{task}}/jobs/{n}", partial(change_jobs, a)) for n, a in _JOBS),
)
