"""Letters in words: each becomes a page. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from orchestra.domain import human
from orchestra.domain.letters import (
    HELD,
    BestResults,
    Failure,
    Letter,
    OfflineLetter,
    PilotLetter,
    TaskLetter,
    TroubleLetter,
)
from orchestra.mail.page import Block, Command, Finding, Page, Paragraph, Place, Table, line

_ORDER = (
    "done",
    "failed",
    "killed",
    "broken",
    "testing",
    "running",
    "kill",
    "assigned",
    "registered",
)
_WORDS = {"kill": "being ended", "assigned": "waiting", "registered": "not released"}
_HAPPENED = {
    "DONE": "done",
    "FINALIZED": "finalized",
    "BROKEN": "broken",
    "KILLED": "killed",
    HELD: "held",
}


def page(letter: Letter, best: BestResults | None = None) -> Page:
    """Give a letter in words; `best` are the best results of a task that has ended, if there are any."""
    match letter:
        case TaskLetter():
            return Page(subject(letter), tuple(_task(letter, best)))
        case OfflineLetter():
            return Page(subject(letter), tuple(_offline(letter)))
        case PilotLetter():
            return Page(subject(letter), tuple(_pilot(letter)))
        case TroubleLetter():
            return Page(subject(letter), tuple(_trouble(letter)))
        case _:
            assert_never(letter)


def subject(letter: Letter) -> str:
    """Give what a letter is about, in one line."""
    match letter:
        case TaskLetter():
            return f"{line(letter.name)} {_HAPPENED.get(letter.outcome, letter.outcome.lower())}: {_in_short(letter)}"
        case OfflineLetter():
            return f"node {letter.node} is offline: {human.count(letter.jobs, 'job')} of yours at stake"
        case PilotLetter(silent=True):
            return f"the pilot of node {letter.node} is silent"
        case PilotLetter():
            return f"the pilot of node {letter.node} died"
        case TroubleLetter():
            return f"mail to {line(letter.to)} could not be sent"
        case _:
            assert_never(letter)


def _in_short(letter: TaskLetter) -> str:
    if letter.outcome == HELD:
        return line(letter.why or "by hand")
    if letter.outcome == "DONE":
        return "its only job" if letter.jobs == 1 else f"all {human.count(letter.jobs, 'job')}"
    return _counts(letter)


def _counts(letter: TaskLetter) -> str:
    told = [
        f"{human.number(letter.counts[status])} {_WORDS.get(status, status)}"
        for status in _ORDER
        if letter.counts.get(status)
    ]
    return ", ".join(told)


# A task


def _task(letter: TaskLetter, best: BestResults | None) -> Iterator[Block]:
    yield Paragraph(_task_sentence(letter))
    yield from (_finding(failure) for failure in letter.failures)
    if letter.kinds > len(letter.failures):
        rest = letter.kinds - len(letter.failures)
        more = human.count(rest, "further kind of failure", "further kinds of failures")
        yield Paragraph(f"{more}: maestro task show {letter.task}")
    if letter.doubts:
        results = "1 result is" if letter.doubts == "1" else f"{letter.doubts} results are"
        yield Paragraph(f"{results} in doubt: {line(letter.doubt or '')}.")
    if best and best.rows:
        rows = tuple((row.job, *(line(value) for value in row.values)) for row in best.rows)
        columns = ("job", *(line(column) for column in best.columns))
        yield Table(f"Best by {columns[1]}" if len(columns) > 1 else "Best", columns, rows)
    if letter.done:
        yield Place("Results", line(letter.folder))
    yield from _next(letter)


def _task_sentence(letter: TaskLetter) -> str:
    name = f"Your task {line(letter.name)} (task {letter.task})"
    took = f" It took {human.duration(letter.seconds)}." if letter.seconds is not None else ""
    of_jobs = f"{human.number(letter.done)} of {human.count(letter.jobs, 'job')} are done"
    others = _counts(_without_done(letter))
    stands = f"{of_jobs}, {others}." if others else f"{of_jobs}."
    why = f": {line(letter.why)}" if letter.why else ""
    match letter.outcome:
        case "DONE":
            every = (
                "its only job is done"
                if letter.jobs == 1
                else f"all {human.count(letter.jobs, 'job')} are done"
            )
            return f"{name} is done: {every}.{took}"
        case "FINALIZED":
            return f"{name} has finished: {stands}{took}"
        case "BROKEN":
            return f"{name} broke in its test{why}. No further job was started; {stands}{took}"
        case "KILLED":
            by = "" if letter.by == "orchestra" else f" by {letter.by}"
            return f"{name} was killed{by}{why}. {stands[:1].upper()}{stands[1:]}{took}"
        case _:
            return (
                f"{name} is held{why}. What runs, runs on; nothing new starts until it is released. "
                f"{stands[:1].upper()}{stands[1:]}"
            )


def _without_done(letter: TaskLetter) -> TaskLetter:
    counts = {status: count for status, count in letter.counts.items() if status != "done"}
    return TaskLetter(
        letter.task, letter.name, letter.outcome, letter.jobs, letter.folder, letter.by, counts
    )


def _finding(failure: Failure) -> Finding:
    where = [f"job {failure.job}"]
    if failure.node:
        where.append(f"node {line(failure.node)}")
    if failure.config:
        where.append(f"config {line(failure.config)}")
    log = tuple(line(said) for said in failure.tail)
    if failure.reason:
        log = (*log, f"({line(failure.reason)})")
    what = f"{human.count(failure.jobs, 'job')}: {line(failure.what)}"
    return Finding(what, ", ".join(where), log)


def _next(letter: TaskLetter) -> Iterator[Block]:
    undone = letter.jobs - letter.done
    if logged := next((failure for failure in letter.failures if failure.has_log), None):
        yield Command("Read a log", f"maestro job logs {logged.job}")
    match letter.outcome:
        case "DONE":
            yield Command("Look at it", f"maestro task show {letter.task}")
        case "FINALIZED" | "KILLED":
            yield Command(
                f"Run the {human.number(undone)} not done again",
                f"maestro task retry {letter.task}",
            )
        case "BROKEN":
            yield Command(
                "Try again, when the cause is mended", f"maestro task retry {letter.task}"
            )
        case _:
            yield Command("Go on, when the cause is mended", f"maestro task release {letter.task}")


# Nodes and mail itself


def _offline(letter: OfflineLetter) -> Iterator[Block]:
    theirs = human.count(letter.jobs, "job") + (
        " of yours runs" if letter.jobs == 1 else " of yours run"
    )
    yield Paragraph(
        f"Node {line(letter.node)} has not been heard of for {human.duration(letter.seconds)}, and {theirs} there."
    )
    columns = ("task", "name", "jobs")
    rows = tuple((str(t.task), line(t.name), human.number(t.jobs)) for t in letter.tasks)
    yield Table("At stake", columns, rows)
    wait = "They may well be running: what they come to is reported when the node is back."
    if letter.until:
        wait += f" If it stays away, they are given to other nodes soon after {letter.until}."
    else:
        wait += " They wait for it however long that takes."
    yield Paragraph(wait)
    yield Command("See who is there", "maestro node list")
    yield Command(
        "If the machine is off for good, give its jobs to others now",
        f"maestro node lost -n {line(letter.node)}",
    )


def _pilot(letter: PilotLetter) -> Iterator[Block]:
    yield Paragraph(f"{line(letter.what)}.")
    if letter.jobs and letter.silent:
        jobs = "1 job is" if letter.jobs == 1 else f"{human.number(letter.jobs)} jobs are"
        yield Paragraph(f"{jobs} at stake there; the owners have been told.")
    elif letter.jobs:
        jobs = human.count(letter.jobs, "job")
        yield Paragraph(f"{jobs} ended with it and will run again, at no cost of a retry.")
    if letter.silent:
        yield Paragraph("You will not be told again before it was back.")
    yield Command("See who is there", "maestro node list")


def _trouble(letter: TroubleLetter) -> Iterator[Block]:
    yield Paragraph(
        f'The mail "{line(letter.subject)}" to {line(letter.to)} was put aside: {line(letter.error)}'
    )
    yield Command("What was put aside", "maestro mail list -a --state refused")
    yield Command("Send it again, when the cause is mended", f"maestro mail retry {letter.mail}")
