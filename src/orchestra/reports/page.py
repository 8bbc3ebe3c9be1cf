"""The report on a task: one HTML page that needs nothing else, and whose size does not grow with the task. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra import command_words
from orchestra.domain import human, result_ranking
from orchestra.domain.goals import parse_goal
from orchestra.domain.models.failures import FailureGroup
from orchestra.domain.models.sources import Source
from orchestra.domain.models.tasks import Task
from orchestra.domain.outcome_text import last_lines
from orchestra.domain.results import Table
from orchestra.domain.states import JobStatus, TaskState
from orchestra.domain.task_text import (
    STATUS_WORDS,
    by_status,
    counts_in_words,
    event_in_words,
    goal_in_words,
    origin_in_words,
    policy_in_words,
    without_repeats,
)
from orchestra.interface.answers.task_reports import Report, TaskReport
from orchestra.reports import results
from orchestra.reports.blocks import code, facts, moment, table
from orchestra.reports.markup import Content, Markup, element
from orchestra.reports.style import CSS

GENERATOR = '<meta name="generator" content="Orchestra report"'
"""How every report begins, after at most 200 characters; tells it from files of others."""
FAILURES, LOG_LINES, PLACES = 20, 20, 50
_NAMES = 20
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_GOOD = frozenset({TaskState.DONE})
_BAD = frozenset({TaskState.FINALIZED, TaskState.BROKEN, TaskState.KILL, TaskState.KILLED})
_CLASSES = {
    JobStatus.DONE: "jobs-done",
    JobStatus.FAILED: "jobs-bad",
    JobStatus.KILLED: "jobs-bad",
    JobStatus.BROKEN: "jobs-bad",
    JobStatus.ASSIGNED: "jobs-left",
    JobStatus.REGISTERED: "jobs-left",
}


def html(report: Report, found: Table) -> str:
    """Return the page. `found` has the results, as the database or the files have them."""
    task = report.shown.task
    stated = parse_goal(task.goal) if task.goal else None
    goal = result_ranking.goal(found, stated)
    sections = (
        ("Best results", results.best_rows(found, task, goal)),
        ("Failures", _failures(report.shown)),
        ("Plots", results.plots(found, goal)),
        ("What happened", _story(report.shown)),
        ("How it was run", _run(report)),
        ("Where it ran", _places(report)),
        ("Results", results.all_rows(report, found, goal)),
    )
    body = element(
        "main",
        *_head(report),
        *(
            element("section", element("h2", title), *contents)
            for title, found in sections
            if (contents := list(found))
        ),
        _foot(report),
    )
    head = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"/>\n{GENERATOR}/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>\n'
    )
    title = element("title", f"{task.name} (task {task.id})")
    return f"{head}{title}\n<style>{CSS}</style></head>\n<body>{body}</body></html>\n"


# Head and foot


def _head(report: Report) -> Iterator[Content]:
    shown, task = report.shown, report.shown.task
    yield element("h1", task.name)
    kind = "good" if task.state in _GOOD else "bad" if task.state in _BAD else ""
    state = element("span", task.state.value, class_=f"state {kind}".strip())
    yield element("p", f"Task {task.id} is ", state, f": {counts_in_words(task.counts)}.")
    yield _progress(task)
    if not task.is_over:
        still = "It has not ended yet: this is how it stood at "
        yield element("p", still, moment(shown.now), ".", class_="note")
        yield from (
            element("p", f"It waits: {command_words.worded(each)}") for each in shown.waiting
        )
    if task.hold:
        yield element(
            "p",
            f"It is held by {task.hold.by} since ",
            moment(task.hold.at),
            f": {task.hold.reason}",
            class_="note",
        )
    if shown.doubts:
        doubt = f"job {task.id}/{shown.doubts.example}: {shown.doubts.note}"
        many = "1 result is" if shown.doubts.results == 1 else f"{shown.doubts.counted} results are"
        yield element("p", f"{many} in doubt; {doubt}", class_="note")
    yield facts(_summary(shown))


def _progress(task: Task) -> Markup:
    """A bar with a part for each state; the sentence above it says the same."""
    parts, at = [], 0.0
    for status, jobs in by_status(task.counts):
        width = 600 * jobs / task.counts.total
        told = element("title", f"{human.number(jobs)} {STATUS_WORDS.get(status, status.value)}")
        rect = element(
            "rect",
            x=at,
            y=0,
            width=max(width - 1, 0.5),
            height=10,
            class_=_CLASSES.get(status, "jobs-live"),
        )
        parts.append(element("g", told, rect))
        at += width
    title = element("title", counts_in_words(task.counts))
    return element("svg", title, *parts, viewBox="0 0 600 10", role="img")


def _summary(shown: TaskReport) -> Iterator[tuple[str, Content]]:
    task = shown.task
    yield "Owner", task.owner
    yield "Registered", moment(task.created_at)
    began = task.test_started_at or task.work_started_at
    if began:
        yield "Started", moment(began)
        if task.ended_at:
            yield "Ended", moment(task.ended_at)
        took = human.duration(((task.ended_at or shown.now) - began).total_seconds())
        yield ("Took" if task.ended_at else "Runs for"), took
    if shown.cpu_seconds:
        about = "" if shown.cpu_is_exact else "about "
        yield "CPU time", about + human.compute_time(shown.cpu_seconds)
    if task.goal:
        yield "Goal", goal_in_words(task.goal)


def _foot(report: Report) -> Markup:
    words = f"Written by Orchestra {report.version}, from its database as of "
    again = f"maestro task report {report.shown.task.id}"
    return element(
        "footer",
        element("p", words, moment(report.shown.now), ". To write it again: ", code(again)),
    )


# Failures and story


def _failures(shown: TaskReport) -> Iterator[Markup]:
    for group in shown.failures[:FAILURES]:
        yield from _failure(group, shown.task)
    if rest := shown.failures[FAILURES:]:
        yield element(
            "p",
            f"{human.count(len(rest), 'further kind', 'further kinds')} of failures are left out.",
        )


def _failure(group: FailureGroup, task: Task) -> Iterator[Markup]:
    example = group.example
    yield element("h3", f"{human.count(group.jobs, 'job')}: {example.what}")
    where = [f"job {task.id}/{example.index}"]
    where += [f"node {example.node}"] if example.node else []
    where += [f"config {group.config}"] if group.config else []
    yield element("p", f"For example {', '.join(where)}")
    if example.reason and example.reason != example.what:
        yield element("p", example.reason)
    if log := last_lines(example.log_tail, LOG_LINES):
        yield element("p", "The end of its log:", class_="soft")
        yield element("pre", "\n".join(log))


def _story(shown: TaskReport) -> Iterator[Markup]:
    rows = [[moment(event.at), event_in_words(event)] for event in without_repeats(shown.events)]
    if rows:
        yield table("The latest events", ["time", "event"], rows, ["", "fold"])


# How and where


def _run(report: Report) -> Iterator[Markup]:
    shown, task = report.shown, report.shown.task
    yield element("pre", task.command)
    rows: list[list[Content]] = [
        [f"%{source.tag}", *_source(source)] for source in (shown.config, *shown.inputs)
    ]
    yield table(
        "Data sets",
        ["tag", "data set", "version", "files", "path"],
        rows,
        ["", "", "number", "number", "fold"],
    )
    yield facts(_settings(task))


def _source(source: Source) -> list[Content]:
    if source.dataset is None:
        return [
            "outputs of an older task",
            "",
            human.number(source.files),
            element("span", source.root, class_="path"),
        ]
    path = element("span", source.path, class_="path")
    return [source.dataset, str(source.version), human.number(source.files), path]


def _settings(task: Task) -> Iterator[tuple[str, Content]]:
    yield "Results in", element("span", task.folder, class_="path")
    yield "Policy", ", ".join(policy_in_words(task))
    for name, words in origin_in_words(task.origin):
        yield name.capitalize(), words
    if task.image:
        yield "Image", task.image
    if task.binds:
        yield "Binds", ", ".join(task.binds)
    if task.env:  # the values may be secret
        names = human.listed(sorted(task.env), most=_NAMES)
        yield "Variables", f"{names} (their values are not shown)"
    if task.after:
        yield "After", human.listed([f"{each.name} (task {each.id})" for each in task.after])


def _places(report: Report) -> Iterator[Markup]:
    places = report.places
    if not places:
        return
    names, kinds = ["node", "Orchestra", "attempts"], ["", "", "number"]
    if with_image := any(place.image_digest for place in places):
        names.append("image digest")
        kinds.append("fold")
    rows: list[list[Content]] = [
        [
            place.node or "a deleted node",
            place.version,
            human.number(place.attempts),
            *([code(place.image_digest or "")] if with_image else []),
        ]
        for place in places[:PLACES]
    ]
    more = len(places) - PLACES
    left_out = f", {human.count(more, 'more row')} left out" if more > 0 else ""
    counted = human.count(sum(place.attempts for place in places), "attempt")
    yield table(f"{counted}{left_out}", names, rows, kinds)
