"""One task: how far it is, what failed, its jobs, its story, and what it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import BadInput
from orchestra.domain.failure_reasons import parse_reason
from orchestra.domain.models.events import Event
from orchestra.domain.models.job_choice import JobChoice
from orchestra.domain.models.jobs import Job
from orchestra.domain.models.tasks import Task
from orchestra.domain.outcome_text import describe_end
from orchestra.domain.states import JobState, JobStatus, job_status
from orchestra.domain.task_text import (
    STATUS_WORDS,
    counts_in_words,
    event_in_words,
    goal_in_words,
    origin_in_words,
    policy_in_words,
    without_repeats,
)
from orchestra.domain.transitions import TaskInput, TaskTransition, task_transition
from orchestra.interface.answers.jobs import FoundJobs
from orchestra.interface.answers.task_reports import TaskReport
from orchestra.interface.failures import FailuresOf
from orchestra.interface.job_search import SearchJobs
from orchestra.interface.task_reports import ShowTask
from orchestra.web.forms import Form, asked, number
from orchestra.web.pages.tasks import number_of
from orchestra.web.rendering import page

JOBS = 50
_ASKED = (
    TaskInput.HOLD,
    TaskInput.RELEASE,
    TaskInput.RETRY,
    TaskInput.KILL,
    TaskInput.DELETE,
    TaskInput.JOB_RETRY,
    TaskInput.JOB_KILL,
)
NODES = 8
"""Nodes that have a column of their own in the table of failures; the others share one."""


def show(call: Call) -> Response:
    """Show a task.

    Raises:
        NotFound: there is none.
        BadInput: a filter of its jobs is invalid.
    """
    task, form = number_of(call), asked(call)
    choice, first = choice_of(form), number(form, "from", 0)
    with call.server.interface(call.identity) as ask:
        report = ask(ShowTask(str(task), failures=False))
        failures = ask(FailuresOf(str(task)))
        search = SearchJobs(
            str(task),
            status=choice.status,
            node=choice.node,
            config=choice.config,
            reason=choice.reason,
            line=choice.line,
            start=(task, first),
            limit=JOBS,
        )
        wrong: BadInput | None = None
        try:
            jobs = ask(search)
        except BadInput as error:
            wrong, jobs = error, FoundJobs((), None, None)
    found = report.task
    nodes = list(dict.fromkeys(each.node for reason in failures.reasons for each in reason.nodes))
    return page(
        call,
        "task.html",
        here="Tasks",
        task=found,
        report=report,
        words=words_of(report),
        failures=failures,
        nodes=nodes[:NODES],
        columns=[
            "Reason",
            *(
                (name, "number")
                for name in ("Jobs", *(node or "a deleted node" for node in nodes[:NODES]))
            ),
            *([("others", "number")] if len(nodes) > NODES else []),
        ],
        more_nodes=len(nodes) > NODES,
        jobs=jobs,
        job_state=job_state,
        job_end=job_end,
        choice=choice,
        filters=filters(choice),
        filtered=choice != JobChoice(),
        reason=parse_reason(choice.reason).words if choice.reason and not wrong else "",
        first=first,
        wrong=wrong,
        statuses=[(status.value, STATUS_WORDS.get(status, status.value)) for status in JobStatus],
        events=[(event, event_in_words(event)) for event in _newest_first(report.events)],
        can=_possible(found) if call.identity.caller.may_change(found.owner) else frozenset(),
    )


def choice_of(form: Form) -> JobChoice:
    """Return which jobs an address or a form is about.

    Raises:
        BadInput: there is no such state.
    """
    status = form.text("status")
    if status and status not in set(JobStatus):
        raise BadInput(f'there is no state "{status[:40]}" of jobs.')
    texts = (form.text(name) or None for name in ("reason", "line", "node", "config"))
    return JobChoice(JobStatus(status) if status else None, *texts)


def filters(choice: JobChoice) -> dict[str, Any]:
    """Return a choice as the query of an address."""
    return {
        "status": choice.status,
        "reason": choice.reason,
        "line": choice.line,
        "node": choice.node,
        "config": choice.config,
    }


def words_of(report: TaskReport) -> dict[str, Any]:
    """Return what the page says of a task besides its values."""
    task = report.task
    began = task.test_started_at or task.work_started_at
    took = ((task.ended_at or report.now) - began).total_seconds() if began else None
    return {
        "counts": counts_in_words(task.counts, task.removed),
        "took": took,
        "policy": policy_in_words(task),
        "goal": goal_in_words(task.goal) if task.goal else None,
        "origin": list(origin_in_words(task.origin)),
        "state": "held" if task.hold else task.state.value,
    }


def job_state(job: Job) -> str:
    """Return the state of a job in the words of the list."""
    status = job_status(
        job.state, is_test=job.is_test, kill_requested=job.kill_requested, claimed=job.claimed
    )
    return STATUS_WORDS.get(status, status.value)


def job_end(job: Job) -> str:
    """Return how the latest attempt of a job ended."""
    if job.cause is None or job.state is JobState.DONE:
        return job.inputs_note or ""
    return job.reason or describe_end(job.cause, job.exit_status, job.signal)


def _newest_first(events: tuple[Event, ...]) -> Iterator[Event]:
    return reversed(list(without_repeats(events)))


def _possible(task: Task) -> frozenset[TaskInput]:
    """Return what the state of a task allows people to do, and what would change something."""
    steps = {given: task_transition(task.state, given) for given in _ASKED}
    allowed = {
        given
        for given, step in steps.items()
        if isinstance(step, TaskTransition) and not step.again
    }
    waits = task.hold or task.after
    return frozenset(allowed - {TaskInput.HOLD if waits else TaskInput.RELEASE})


ENDPOINTS = (Endpoint("GET", "/tasks/{task}", show),)
