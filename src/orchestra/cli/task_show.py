"""`maestro task show`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from orchestra.cli import watch
from orchestra.cli.output import Record, clean
from orchestra.cli.table import align, cut
from orchestra.cli.task_record import task_record
from orchestra.cli.task_select import one_task, the_task
from orchestra.domain import human, progress
from orchestra.domain.progress import Pace
from orchestra.domain.states import JobStatus, TaskState
from orchestra.domain.task_text import (
    counts_in_words,
    event_in_words,
    goal_in_words,
    origin_in_words,
    policy_in_words,
    without_repeats,
)

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.events import Event
    from orchestra.domain.models.failures import FailureGroup
    from orchestra.domain.models.mails import Mail
    from orchestra.domain.models.sources import Source
    from orchestra.domain.models.tasks import Task
    from orchestra.interface.answers.task_reports import TaskReport

_BAR = 20
_REASON_LENGTH = 100
"""The length at which the reason of a failure is cut; `job explain` shows all of it."""


def show_arguments(parser: Parser) -> None:
    """Add the arguments of `task show`."""
    one_task(parser)
    parser.add_argument(
        *("-i", "--watch"),
        dest="watch",
        action="store_true",
        help="refresh until the task has ended",
    )


def show_task(ctx: Context) -> None:
    """Show a task in detail."""
    from orchestra.interface.task_reports import ShowTask

    asked = ShowTask(the_task(ctx))

    pace = Pace()

    def show(report: TaskReport) -> None:
        now = time.monotonic()
        pace.note(report.task, now)
        lines = _lines(report, pace.per_second(report.task, now))
        ctx.out.item(report, lambda _: lines, record=_record, key=lambda found: found.task.id)

    if ctx.args.watch:
        watch.watch(
            ctx,
            lambda ask: ask(asked),
            show,
            over=lambda report: (
                not report.task.state.is_live and report.task.pending_operation is None
            ),
        )
        return
    with ctx.interface() as ask:
        report = ask(asked)
    show(report)


def _lines(report: TaskReport, rate: float | None) -> Iterator[str]:
    task = report.task
    yield "   ".join([f"{task.name} (task {task.id})", task.state.value, *_header(report)])
    if task.state.is_live:
        yield f"  progress  {_progress(task, rate)}"
    yield from _facts(report)
    yield from (_event_line(event, report.now) for event in without_repeats(report.events))
    yield from _mail_lines(report)
    yield from _failure_lines(report)
    if report.doubts:
        doubts = report.doubts
        results = "1 result is" if doubts.results == 1 else f"{doubts.counted} results are"
        example = f"job {report.task.id}/{doubts.example}: {clean(doubts.note or '')}"
        yield f"  doubt     {results} in doubt; {example}"
    for reason in _waiting(report):
        yield f"  waits     {clean(reason)}"
    yield from _next_lines(report)


def end_lines(report: TaskReport) -> Iterator[str]:
    """Yield what is of interest when a task has ended: its failures, and what to do next."""
    yield from _failure_lines(report)
    yield from _next_lines(report)


def _next_lines(report: TaskReport) -> Iterator[str]:
    steps = list(_next_steps(report))
    for what, why in steps:
        yield f"  next      {what:<{max(len(step[0]) for step in steps)}}   {why}"


def _progress(task: Task, rate: float | None) -> str:
    counts = task.counts
    bar = progress.bar(counts.done, task.active_jobs, _BAR, counts.ended - counts.done)
    speed = f"   {human.rate(rate, 'job')}" if rate else ""
    return f"[{bar}] {human.percent(counts.done, task.active_jobs)}{speed}"


def _waiting(report: TaskReport) -> Iterator[str]:
    if report.waiting:
        from orchestra import command_words

        yield from map(command_words.worded, report.waiting)


def _header(report: TaskReport) -> Iterator[str]:
    yield counts_in_words(report.task.counts, report.task.removed)
    if (took := _time_taken(report)) is not None:
        cpu = ""
        if report.cpu_seconds:
            about = "" if report.cpu_is_exact else "about "
            cpu = f", {about}{human.compute_time(report.cpu_seconds)}"
        yield human.duration(took) + cpu
    if report.task.state is TaskState.RUNNING and report.ends.seconds is not None:
        yield f"ends {human.relative(report.ends.seconds)}"


def _time_taken(report: TaskReport) -> float | None:
    task = report.task
    began = task.test_started_at or task.work_started_at
    if began is None:
        return None
    return ((task.ended_at or report.now) - began).total_seconds()


def _facts(report: TaskReport) -> Iterator[str]:
    task = report.task
    yield f"  command   {clean(task.command)}"
    yield f"  config    {_source(report.config)}"
    for source in report.inputs:
        yield f"  {'%' + source.tag:<9} {_source(source)}"
    for what, words in origin_in_words(task.origin):
        yield f"  {what:<9} {clean(words)}"
    yield f"  output    {clean(task.folder)}"
    yield from _container(task)
    yield f"  policy    {', '.join(policy_in_words(task))}"
    if task.goal:
        yield f"  goal      {clean(goal_in_words(task.goal))}"


def _container(task: Task) -> Iterator[str]:
    if task.image:
        yield f"  image     {clean(task.image)}"
    if task.binds:
        yield f"  binds     {clean(', '.join(task.binds))}"


def _source(source: Source) -> str:
    files = human.count(source.files, "file")
    if source.dataset is None:
        return f"the outputs of {human.count(source.files, 'job')} in {clean(source.root)}"
    return f"{source.dataset} (version {source.version}, {files})"


def _event_line(event: Event, now: datetime) -> str:
    then = event.at.astimezone()
    at = f"{then:%H:%M:%S}" if then.date() == now.astimezone().date() else f"{then:%m-%d %H:%M}"
    return f"  {at}  {clean(event_in_words(event))}"


def _mail_lines(report: TaskReport) -> Iterator[str]:
    """Yield whether the last mail was sent; without mails, whether the owner has turned them off."""
    if report.mails:
        yield f"  mail      {clean(_mail_words(report.mails[-1]))}"
    elif not report.owner_wants_mail:
        yield f"  mail      {report.task.owner} has turned it off; to turn it on: maestro user set --mail on"
    elif report.task.attach_report:
        yield "  mail      the one at its end will have the report"


def _mail_words(mail: Mail) -> str:
    """Return what happened to a mail: "sent to ana@example.org by smtp.gmail.com:587"."""
    if mail.sent_at and mail.sent_how and mail.sent_how.startswith("/"):
        return f"to {mail.email}, as a file; to read it: maestro mail show {mail.id}"
    if mail.sent_at:
        return f"sent to {mail.email} by {mail.sent_how}"
    if mail.refused_at:
        return f"not sent to {mail.email}: {mail.last_error}"
    return f"waits to be sent to {mail.email}" + (f": {mail.last_error}" if mail.last_error else "")


def _failure_lines(report: TaskReport) -> Iterator[str]:
    if not report.failures:
        return
    yield "  failures"
    rows = []
    for group in report.failures:
        example = group.example
        address = f"{report.task.id}/{example.index}"
        last_line = example.last_line
        reason = cut(f'"{last_line}"' if last_line else clean(example.reason or ""), _REASON_LENGTH)
        what = f"{human.number(group.jobs)} x {example.what}"
        verb = "logs" if example.has_log else "explain"
        rows.append([what, f"job {address}", reason, f"maestro job {verb} {address}"])
    for row, group in zip(align(rows), report.failures, strict=True):
        yield "    " + "  ".join(row).rstrip()
        reason = clean(group.example.reason or "")
        if not group.example.has_log and len(reason) > _REASON_LENGTH:
            yield f"      {reason}"  # shown nowhere else


def _next_steps(report: TaskReport) -> Iterator[tuple[str, str]]:
    task = report.task
    undone = task.active_jobs - task.counts.done
    if task.hold:
        how = "after the cause is fixed; before that, it is held again"
        yield (
            f"maestro task release {task.id}",
            how if task.hold.lasts else "starts its jobs again",
        )
        if task.hold.lasts:
            yield f"maestro task retry {task.id} --update", "if its inputs were changed on purpose"
    if task.state in (TaskState.FINALIZED, TaskState.BROKEN, TaskState.KILLED) and undone:
        yield (
            f"maestro task retry {task.id}",
            f"reruns the {human.count(undone, 'job')} that {'is' if undone == 1 else 'are'} not done",
        )
    for status in (JobStatus.TESTING, JobStatus.RUNNING):
        if task.counts[status]:
            yield f"maestro job list {task.id} --state {status}", "the running jobs"
    if task.state is TaskState.DONE:
        yield f"ls {clean(shlex.quote(task.folder))}", "the results"
        yield f"maestro task results {task.id}", f"the values in {clean(task.metrics_file)}"


def _record(report: TaskReport) -> Record:
    task, policy = report.task, report.task.policy
    return {
        **task_record(task),
        "command": task.command,
        "image": task.image,
        "binds": list(task.binds),
        "account": task.account,
        "volume": task.volume,
        "folder": task.folder,
        "complete_file": task.complete_file,
        "metrics_file": task.metrics_file,
        "goal": task.goal,
        "attach_report": task.attach_report,
        "env": dict(task.env),
        "config": _source_record(report.config),
        "inputs": [_source_record(source) for source in report.inputs],
        "origin": asdict(task.origin) if task.origin else None,
        "policy": {
            "test_jobs": policy.test_jobs,
            "test_for_seconds": policy.test_for,
            "retries": policy.retries,
            "timeout_seconds": policy.timeout,
            "grace_seconds": policy.grace,
            "priority": policy.priority,
            "max_fails": policy.max_fails.count if policy.max_fails else None,
            "max_fails_percent": policy.max_fails.percent if policy.max_fails else None,
            "max_running": policy.max_running,
            "resume": policy.resume,
            "walltime_seconds": policy.walltime,
        },
        "resources": asdict(task.resources),
        "placement": asdict(task.placement),
        "run": task.run,
        "revision": task.revision,
        "test_started_at": task.test_started_at,
        "work_started_at": task.work_started_at,
        "typical_seconds": task.typical_seconds,
        "cpu_seconds": report.cpu_seconds,
        "cpu_is_exact": report.cpu_is_exact,
        "ends_in_seconds": report.ends.seconds,
        "waiting": list(_waiting(report)),
        "results_in_doubt": report.doubts.results,
        "doubt": report.doubts.note,
        "mails": [_mail_record(mail) for mail in report.mails],
        "events": [_event_record(event) for event in report.events],
        "failures": [_failure_record(group, task) for group in report.failures],
    }


def _source_record(source: Source) -> Record:
    return {
        "tag": source.tag,
        "dataset": source.dataset,
        "version": source.version,
        "path": source.root,
        "files": source.files,
    }


def _event_record(event: Event) -> Record:
    return {
        "at": event.at,
        "kind": event.kind,
        "from": event.from_state,
        "to": event.to_state,
        "jobs": event.jobs,
        "who": event.who,
        "why": event.why,
    }


def _mail_record(mail: Mail) -> Record:
    return {
        "id": mail.id,
        "to": mail.email,
        "state": mail.state,
        "created_at": mail.created_at,
        "sent_at": mail.sent_at,
        "sent_how": mail.sent_how,
        "error": mail.last_error,
    }


def _failure_record(group: FailureGroup, task: Task) -> Record:
    example = group.example
    return {
        "what": example.what,
        "jobs": group.jobs,
        "example": f"{task.id}/{example.index}",
        "config": group.config,
        "node": example.node,
        "reason": example.reason,
        "last_line": example.last_line,
    }
