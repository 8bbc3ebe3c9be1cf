"""One job: its state, its attempts with what they ran, its log, and retry and kill."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.logs import PATH as LOG_PATH
from orchestra.api.operations import API
from orchestra.domain.errors import BadInput, NotAllowed, OrchestraError, Refused
from orchestra.domain.job_text import (
    attempt_state,
    is_alive,
    kill_consequences,
    retry_consequences,
    state_word,
)
from orchestra.domain.models.jobs import Attempt, Job
from orchestra.domain.states import ENDED_JOB_STATES, JobState
from orchestra.interface.answers.jobs import JobReport, LogPart
from orchestra.interface.explanations import ExplainJob
from orchestra.interface.following import find_attempt, read_part
from orchestra.interface.job_changes import KillJobs, RetryJobs
from orchestra.interface.jobs import ShowAttempt, ShowJob
from orchestra.interface.operation import Interface
from orchestra.interface.problems import status_of
from orchestra.web.forms import asked, number, posted
from orchestra.web.rendering import address, go, page

LINES = 100
END = 16 << 10
"""Lines and bytes of a log that are in the page itself, for browsers without JavaScript."""
_OPENS_AT_END = (
    JobState.ASSIGNED,
    JobState.RUNNING,
    JobState.FAILED,
    JobState.BROKEN,
    JobState.KILLED,
)
# Not all that a terminal knows, as ansi.js does: text without colours.
_SEQUENCES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~]?)"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Log:
    """What the page needs of an attempt's log.

    Args:
        source: the address of the log itself.
        end: its last lines as text; whole if these are all.
        at_end: whether it opens at its end, and follows.
    """

    source: str
    end: str
    whole: bool
    at_end: bool


def show(call: Call) -> Response:
    """Show a job, and one of its attempts: the latest, or that of the query.

    Raises:
        BadInput, NotFound: there is no such job or attempt.
    """
    with call.server.interface(call.identity) as ask:
        report = ask(ShowJob(_address(call)))
        task, job = report.task, report.job
        chosen = number(asked(call), "attempt", 0) or None
        attempt = find_attempt(report, chosen) if report.attempts or chosen else None
        shown = ask(ShowAttempt(task.id, job.index, attempt.number)) if attempt else None
        log, closed = None, None
        try:
            log = _log(call, ask, job, attempt) if attempt and attempt.started_at else None
        except NotAllowed as error:
            closed = error
        told = ask(ExplainJob(f"{task.id}/{job.index}")).explanation
    mine = call.identity.caller.may_change(task.owner)
    return page(
        call,
        "job.html",
        here="Tasks",
        task=task,
        job=job,
        report=report,
        word=state_word(job),
        told=told,
        attempt=shown.attempt if shown else None,
        command=shown.command if shown else None,
        latest=report.attempts[-1].number if report.attempts else None,
        attempt_state=attempt_state,
        is_alive=is_alive,
        log=log,
        closed=closed,
        can_retry=mine and job.state in ENDED_JOB_STATES and not job.removed,
        can_kill=mine and job.state not in ENDED_JOB_STATES and not job.kill_requested,
    )


def _address(call: Call) -> str:
    return f"{call.params['task']}/{call.params['index']}"


def _log(call: Call, ask: Interface, job: Job, attempt: Attempt) -> Log:
    part = read_part(ask, attempt, -END, patience=0)
    place = LOG_PATH.format(task=attempt.task_id, index=attempt.index, attempt=attempt.number)
    return Log(
        source=address(call, API + place),
        end=_last_lines(part),
        whole=part.offset == 0,
        at_end=job.state in _OPENS_AT_END,
    )


def _last_lines(part: LogPart) -> str:
    """Return the last lines of a part as a terminal would show them, without colours."""
    lines = part.data.decode(errors="replace").split("\n")
    if part.offset:
        del lines[0]  # it began before
    kept = [line.rstrip("\r").rpartition("\r")[2] for line in lines[-LINES - 1 :]]
    return _CONTROLS.sub("", _SEQUENCES.sub("", "\n".join(kept)))


def ask_first(change: str, call: Call) -> Response:
    """Say what a change of a job would do.

    Raises:
        BadInput, NotFound: there is no such job.
        NotAllowed: it belongs to somebody else.
    """
    return _question(call, change, call.ask(ShowJob(_address(call))))


def carry_out(change: str, call: Call) -> Response:
    """Carry out a change, or ask again where it was refused.

    Raises:
        BadInput, NotFound: there is no such job.
        NotAllowed: it belongs to somebody else.
    """
    form = posted(call)
    report = call.ask(ShowJob(_address(call)))
    job = f"{report.task.id}/{report.job.index}"
    try:
        if change == "kill":
            (done,) = call.ask(KillJobs((job,), form.text("reason") or None))
            note = f"Job {job} is being killed." if done.jobs else f"Job {job} has ended already."
        else:
            call.ask(RetryJobs((job,)))
            note = f"Job {job} runs again."
    except Refused as error:
        return _question(call, change, report, error)
    return go(call, _path(report), note)


def _question(
    call: Call, change: str, report: JobReport, refused: OrchestraError | None = None
) -> Response:
    task, job = report.task, report.job
    if not call.identity.caller.may_change(task.owner):
        raise NotAllowed(f"job {task.id}/{job.index} belongs to {task.owner}.")
    kill = change == "kill"
    ended = job.state in ENDED_JOB_STATES
    if refused is None and kill == ended:
        now = "has ended already" if kill else "has not ended"
        refused = BadInput(f"job {task.id}/{job.index} is {state_word(job)}: it {now}.")
    told = (
        kill_consequences(task, job, report.attempts, datetime.now(UTC))
        if kill
        else retry_consequences(task, job)
    )
    return page(
        call,
        "job_question.html",
        status=status_of(refused) if refused else 200,
        here="Tasks",
        question=f"{change.capitalize()} job {task.id}/{job.index}?",
        consequences=list(told),
        path=f"{_path(report)}/{change}",
        back=_path(report),
        button=change.capitalize(),
        kind="danger" if kill else "primary",
        asks_reason=kill,
        refused=refused,
    )


def _path(report: JobReport) -> str:
    return f"/tasks/{report.task.id}/jobs/{report.job.index}"


_PATH = "/tasks/{task}/jobs/{index}"
ENDPOINTS = (
    Endpoint("GET", _PATH, show),
    *(
        Endpoint(method, f"{_PATH}/{change}", partial(does, change))
        for change in ("retry", "kill")
        for method, does in (("GET", ask_first), ("POST", carry_out))
    ),
)
