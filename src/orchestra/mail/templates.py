"""Turns notifications into pages: subject and text blocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import assert_never

from orchestra.domain import human
from orchestra.domain.models.tasks import Counts
from orchestra.domain.notifications import (
    HELD,
    BestResults,
    Failure,
    Notification,
    OfflineNotification,
    PilotNotification,
    TaskNotification,
    UndeliveredNotification,
)
from orchestra.domain.states import JobStatus
from orchestra.domain.task_text import counts_in_words
from orchestra.mail.page import Block, Command, Finding, Location, Page, Paragraph, Table, line

_OUTCOME_WORDS = {
    "DONE": "done",
    "FINALIZED": "finalized",
    "BROKEN": "broken",
    "KILLED": "killed",
    HELD: "held",
}


def page(notification: Notification, best: BestResults | None = None) -> Page:
    """Return the page of a notification; `best` are the best results of an ended task, if there are any."""
    match notification:
        case TaskNotification():
            blocks = _task(notification, best)
        case OfflineNotification():
            blocks = _offline(notification)
        case PilotNotification():
            blocks = _pilot(notification)
        case UndeliveredNotification():
            blocks = _undelivered(notification)
        case _:
            assert_never(notification)
    return Page(subject(notification), tuple(blocks))


def attached(page: Page, name: str) -> Page:
    """Return a page with a line about the report that is attached."""
    return replace(page, blocks=(*page.blocks, Location("The report is attached", line(name))))


def subject(notification: Notification) -> str:
    """Return the subject of a notification, in one line."""
    match notification:
        case TaskNotification(name=name, outcome=outcome):
            happened = _OUTCOME_WORDS.get(outcome, outcome.lower())
            return f"{line(name)} {happened}: {_summary(notification)}"
        case OfflineNotification(node=node, jobs=1):
            return f"node {node} is offline: 1 of your jobs is affected"
        case OfflineNotification(node=node, jobs=jobs):
            return f"node {node} is offline: {human.number(jobs)} of your jobs are affected"
        case PilotNotification(node=node, silent=True):
            return f"the pilot of node {node} is silent"
        case PilotNotification(node=node):
            return f"the pilot of node {node} died"
        case UndeliveredNotification(to=to):
            return f"mail to {line(to)} could not be sent"
        case _:
            assert_never(notification)


def _summary(task: TaskNotification) -> str:
    if task.outcome == HELD:
        return line(task.why or "by hand")
    if task.outcome == "DONE":
        return "its only job" if task.jobs == 1 else f"all {human.count(task.jobs, 'job')}"
    return _counts(task)


def _counts(task: TaskNotification, *, without: str | None = None) -> str:
    counts = {status.value: task.counts.get(status, 0) for status in JobStatus if status != without}
    return counts_in_words(Counts(**counts))


# A task


def _task(task: TaskNotification, best: BestResults | None) -> Iterator[Block]:
    yield Paragraph(_task_sentence(task))
    yield from (_finding(failure) for failure in task.failures)
    if task.kinds > len(task.failures):
        rest = task.kinds - len(task.failures)
        more = human.count(rest, "further kind of failure", "further kinds of failures")
        yield Paragraph(f"{more}: maestro task show {task.task}")
    if task.doubts:
        results = "1 result is" if task.doubts == "1" else f"{task.doubts} results are"
        yield Paragraph(f"{results} in doubt: {line(task.doubt or '')}.")
    if best and best.rows:
        rows = tuple((row.job, *(line(value) for value in row.values)) for row in best.rows)
        columns = ("job", *(line(column) for column in best.columns))
        yield Table(f"Best by {columns[1]}" if len(columns) > 1 else "Best", columns, rows)
    if task.done:
        yield Location("Results", line(task.folder))
    yield from _next_commands(task)


def _task_sentence(task: TaskNotification) -> str:
    name = f"Your task {line(task.name)} (task {task.task})"
    took = f" It took {human.duration(task.seconds)}." if task.seconds is not None else ""
    of_jobs = f"{human.number(task.done)} of {human.count(task.jobs, 'job')} are done"
    others = _counts(task, without="done")
    counts = f"{of_jobs}, {others}." if others else f"{of_jobs}."
    why = f": {line(task.why)}" if task.why else ""
    match task.outcome:
        case "DONE":
            every = (
                "its only job is done"
                if task.jobs == 1
                else f"all {human.count(task.jobs, 'job')} are done"
            )
            return f"{name} is done: {every}.{took}"
        case "FINALIZED":
            return f"{name} has finished: {counts}{took}"
        case "BROKEN":
            return f"{name} broke in its test{why}. No further job was started; {counts}{took}"
        case "KILLED":
            by = "" if task.by == "orchestra" else f" by {task.by}"
            return f"{name} was killed{by}{why}. {counts[:1].upper()}{counts[1:]}{took}"
        case _:
            return (
                f"{name} is held{why}. Running jobs continue; no new job starts until the task is released. "
                f"{counts[:1].upper()}{counts[1:]}"
            )


def _finding(failure: Failure) -> Finding:
    where = [f"job {failure.job}"]
    if failure.node:
        where.append(f"node {line(failure.node)}")
    if failure.config:
        where.append(f"config {line(failure.config)}")
    log = tuple(line(text) for text in failure.tail)
    if failure.reason:
        log = (*log, f"({line(failure.reason)})")
    what = f"{human.count(failure.jobs, 'job')}: {line(failure.what)}"
    return Finding(what, ", ".join(where), log)


def _next_commands(task: TaskNotification) -> Iterator[Block]:
    if logged := next((failure for failure in task.failures if failure.has_log), None):
        yield Command("Read a log", f"maestro job logs {logged.job}")
    match task.outcome:
        case "DONE":
            yield Command("Show it", f"maestro task show {task.task}")
        case "FINALIZED" | "KILLED":
            undone = human.number(task.jobs - task.done)
            yield Command(f"Rerun the {undone} not done", f"maestro task retry {task.task}")
        case "BROKEN":
            yield Command("After fixing the cause, try again", f"maestro task retry {task.task}")
        case _:
            yield Command("After fixing the cause, continue", f"maestro task release {task.task}")


# Nodes and mail itself


def _offline(node: OfflineNotification) -> Iterator[Block]:
    yours = human.count(node.jobs, "job") + (
        " of yours runs" if node.jobs == 1 else " of yours run"
    )
    yield Paragraph(
        f"Node {line(node.node)} has not been heard from for {human.duration(node.seconds)}, and {yours} there."
    )
    columns = ("task", "name", "jobs")
    rows = tuple((str(t.task), line(t.name), human.number(t.jobs)) for t in node.tasks)
    yield Table("Affected", columns, rows)
    outlook = "They may still be running: their outcomes are reported when the node is back."
    if node.until:
        outlook += f" If it does not come back, other nodes run them soon after {node.until}."
    else:
        outlook += " They wait for it, without a time limit."
    yield Paragraph(outlook)
    yield Command("List the nodes", "maestro node list")
    yield Command(
        "If the machine is off for good, requeue its jobs now",
        f"maestro node lost -n {line(node.node)}",
    )


def _pilot(pilot: PilotNotification) -> Iterator[Block]:
    yield Paragraph(f"{line(pilot.what)}.")
    if pilot.jobs and pilot.silent:
        jobs = "1 job is" if pilot.jobs == 1 else f"{human.number(pilot.jobs)} jobs are"
        yield Paragraph(f"{jobs} affected; the owners have been notified.")
    elif pilot.jobs:
        jobs = human.count(pilot.jobs, "job")
        yield Paragraph(f"{jobs} ended with it and will run again; that does not count as a retry.")
    if pilot.silent:
        yield Paragraph("You will be notified again only after it has been back.")
    yield Command("List the nodes", "maestro node list")


def _undelivered(mail: UndeliveredNotification) -> Iterator[Block]:
    yield Paragraph(
        f'The mail "{line(mail.subject)}" to {line(mail.to)} was set aside: {line(mail.error)}'
    )
    yield Command("List the mails that were set aside", "maestro mail list -a --state refused")
    yield Command("After fixing the cause, send it again", f"maestro mail retry {mail.mail}")
