"""Reading and following a job's log: its file if that can be read here, else in parts from where it can be read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from orchestra.domain import human
from orchestra.domain.errors import NotFound
from orchestra.domain.models.jobs import Attempt
from orchestra.domain.models.logs import PART, LogSource
from orchestra.domain.states import Cause, JobState
from orchestra.domain.wording import Action, words
from orchestra.files import job_logs
from orchestra.interface.answers.jobs import JobReport, LogChunk, LogPart
from orchestra.interface.jobs import ShowJob
from orchestra.interface.logs import ReadLog, ReadLogPart
from orchestra.interface.operation import Interface

PATIENCE = 3.0
"""Seconds that a pilot has to send a part of a log."""
_POLL_FILE, _POLL_DATABASE, _POLL_PART = 0.2, 1.0, 0.05
_EXPLAIN_EVERY = 5.0
_NOT_RUN = (Cause.RETURNED, Cause.INPUT, Cause.VOLUME)
_IN_LINE = (JobState.REGISTERED, JobState.ASSIGNED)


def find_attempt(report: JobReport, number: int | None) -> Attempt:
    """Return an attempt of a job, by default the latest.

    Raises:
        NotFound: there is none.
    """
    address = f"{report.task.id}/{report.job.index}"
    if not report.attempts:
        raise NotFound(
            f"job {address} has not run yet, so it has no log.",
            hint=words(Action.SHOW_JOB(task=report.task.id, job=report.job.index)),
            kind="log",
            task=report.task.id,
            job=report.job.index,
        )
    if number is None:
        return report.attempts[-1]
    for attempt in report.attempts:
        if attempt.number == number:
            return attempt
    first, last = report.attempts[0].number, report.attempts[-1].number
    has = f"only {first}" if first == last else f"{first} to {last}"
    raise NotFound(
        f"job {address} has no attempt {number}; its attempts are numbered {has}.",
        kind="attempt",
        task=report.task.id,
        job=report.job.index,
        attempt=number,
    )


def last_failed(report: JobReport) -> Attempt | None:
    """Return the latest attempt of a job that ran and failed, or whose end was not seen; None if there is none."""
    for attempt in reversed(report.attempts):
        over = attempt.ended_at is not None or attempt.lost_at is not None
        succeeded = attempt.cause is Cause.EXIT and attempt.exit_status == 0
        if over and not succeeded and attempt.cause not in _NOT_RUN:
            return attempt
    return None


def read_kept(ask: Interface, attempt: Attempt, offset: int = 0) -> LogChunk:
    """Return the stored part of an attempt's log from a byte offset on."""
    return ask(ReadLog(attempt.task_id, attempt.index, attempt.number, offset))


def read_part(
    ask: Interface,
    attempt: Attempt | tuple[int, int, int],
    offset: int,
    *,
    patience: float = PATIENCE,
    sleep: Callable[[float], None] = time.sleep,
) -> LogPart:
    """Return a part of an attempt's log; wait up to `patience` seconds for its pilot to send it.

    The attempt may be given as the numbers of its task, job and attempt.
    """
    key = (
        attempt if isinstance(attempt, tuple) else (attempt.task_id, attempt.index, attempt.number)
    )
    wanted = ReadLogPart(*key, offset)
    deadline = time.monotonic() + patience
    while (part := ask(wanted)).awaited and time.monotonic() < deadline:
        sleep(_POLL_PART)
    return part


def _recent_part(ask: Interface, attempt: Attempt, offset: int) -> LogPart:
    """Return a part of a log. A pilot of schema 15 sends no parts, only the present end of what runs: wait for that."""
    before = found = read_part(ask, attempt, offset)
    if found.source is not LogSource.TAIL or found.over or found.awaited or not attempt.started_at:
        return found
    deadline = time.monotonic() + PATIENCE
    while found == before and time.monotonic() < deadline:
        time.sleep(_POLL_FILE)
        found = read_part(ask, attempt, offset)
    return found


def last_lines(ask: Interface, attempt: Attempt, lines: int) -> tuple[LogPart, bytes]:
    """Return the last part of an attempt's log, and its last lines, for which earlier parts are read if necessary."""
    last = _recent_part(ask, attempt, -PART)
    text, start = last.data, last.offset
    while start > last.kept_from and text.count(b"\n", 0, -1) < lines:
        part = read_part(ask, attempt, max(last.kept_from, start - PART))
        if part.source is not last.source or part.offset >= start or part.end < start:
            break
        text, start = part.data[: start - part.offset] + text, part.offset
    return last, job_logs.last_lines(text, lines)


@dataclass(frozen=True, slots=True)
class Found:
    """A log: its file, to be closed by the caller; else why that is not shown."""

    file: BinaryIO | None
    why: str = ""


def find(ask: Interface, attempt: Attempt) -> Found:
    """Find the file of an attempt's log, unless it has been replaced."""
    file = job_logs.open_log(attempt)
    if file is None:
        return Found(None, job_logs.why(attempt))
    if attempt.ended_at is None or attempt.lost_at is not None:
        return Found(file)
    if job_logs.holds(file.fileno(), read_kept(ask, attempt).data):
        return Found(file)
    file.close()
    return Found(None, "is not what the job printed: the job replaced it, or it was changed since")


def parts(
    ask: Interface, attempt: Attempt, lines: int | None = None
) -> Iterator[tuple[LogPart, bytes]]:
    """Yield an attempt's log, or its last lines, as far as it can be read elsewhere: parts and their texts to show."""
    if lines is not None:
        yield last_lines(ask, attempt, lines)
        return
    first = _recent_part(ask, attempt, 0)
    shown = _Shown(None, first.offset)
    yield first, shown.news(first)
    if first.end < (first.length or 0):
        yield from shown.parts(ask, attempt)


def await_attempt(
    ask: Interface,
    address: str,
    number: int | None,
    *,
    waits: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Attempt:
    """Return an attempt of a job; if there is none yet, wait for the first one.

    `waits` is called with a sentence on what the job waits for, and again when that changes.

    Raises:
        NotFound: there is no such attempt, and there will be none.
    """
    told = _Waiting(ask, address, waits)
    while True:
        report = ask(ShowJob(address))
        if report.attempts or number not in (None, 1) or report.job.state not in _IN_LINE:
            return find_attempt(report, number)
        told.tell()
        sleep(_POLL_DATABASE)


@dataclass(slots=True)
class _Waiting:
    """Reports why a job waits, whenever that changes."""

    ask: Interface
    address: str
    say: Callable[[str], None]
    said: str = ""
    asked: float = float("-inf")

    def tell(self) -> None:
        from orchestra.interface.explanations import ExplainJob

        if time.monotonic() - self.asked < _EXPLAIN_EVERY:
            return
        self.asked = time.monotonic()
        why = self.ask(ExplainJob(self.address)).explanation.headline
        if why != self.said:
            self.said = why
            self.say(why)


def follow(
    ask: Interface,
    address: str,
    attempt: Attempt,
    *,
    write: Callable[[bytes], None],
    turn: Callable[[Attempt], None],
    waits: Callable[[str], None] = lambda _: None,
    lines: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Attempt:
    """Write an attempt's log as it grows until the attempt has ended, then the log of the next one, if any.

    `turn` is called with each attempt before its log begins, `waits` with what the job waits for between two attempts.
    Returns the last attempt.
    """
    while True:
        turn(attempt)
        attempt = _follow_one(ask, address, attempt, write, waits, lines, sleep)
        following = _next_attempt(ask, address, attempt, waits, sleep)
        if following is None:
            return attempt
        attempt, lines = following, None


def _next_attempt(
    ask: Interface,
    address: str,
    attempt: Attempt,
    waits: Callable[[str], None],
    sleep: Callable[[float], None],
) -> Attempt | None:
    """Return the attempt after one that has ended; wait for it as long as the job is waiting."""
    told = _Waiting(ask, address, waits)
    while True:
        report = ask(ShowJob(address))
        for later in report.attempts:
            if later.number > attempt.number:
                return later
        if report.job.state is not JobState.ASSIGNED or not report.task.state.may_claim:
            return None
        told.tell()
        sleep(_POLL_DATABASE)


def _follow_one(
    ask: Interface,
    address: str,
    attempt: Attempt,
    write: Callable[[bytes], None],
    waits: Callable[[str], None],
    lines: int | None,
    sleep: Callable[[float], None],
) -> Attempt:
    file: BinaryIO | None = None
    asked, told, said = 0.0, _Shown(lines), False
    try:
        while True:
            over = attempt.ended_at is not None or attempt.lost_at is not None
            silent = job_logs.is_silent(attempt)
            if silent and not said:
                waits(f"the log {job_logs.unreadable(attempt)}")
            said = silent
            file_wanted = file is None and not told.length and not silent
            if file_wanted and (file := job_logs.open_log(attempt)) and lines is not None:
                job_logs.seek_last_lines(file, lines)
            if file and not silent:
                _show_new(file, write)
            if over:
                break
            sleep(_POLL_FILE)
            if time.monotonic() - asked >= _POLL_DATABASE:
                asked = time.monotonic()
                if file is None:
                    told.write_new(ask, attempt, write, last=False)
                attempt = _again(ask, address, attempt)
        write(_replaced(ask, attempt, file) if file else b"")
    finally:
        if file:
            file.close()
    if file is None:
        told.write_new(ask, attempt, write)
    return attempt


def _show_new(file: BinaryIO, write: Callable[[bytes], None]) -> None:
    """Write what was appended to a file; from its beginning if it was truncated."""
    if os.fstat(file.fileno()).st_size < file.tell():
        file.seek(0)
    for block in job_logs.read_blocks(file):
        write(block)


def _replaced(ask: Interface, attempt: Attempt, file: BinaryIO) -> bytes:
    """Return the end of an attempt's log if the file that was shown has been replaced."""
    if attempt.lost_at or not attempt.ended_at:
        return b""
    end = read_kept(ask, attempt).data
    if job_logs.holds(file.fileno(), end):
        return b""
    return b"\n[orchestra: the job replaced its log; the end of what it printed:]\n\n" + end


@dataclass(slots=True)
class _Shown:
    """How much of a log that is read in parts has been shown; of its first part only some lines are."""

    lines: int | None
    length: int = 0

    def parts(
        self, ask: Interface, attempt: Attempt, *, last: bool = True
    ) -> Iterator[tuple[LogPart, bytes]]:
        """Yield what is new: parts, and what to show of each.

        Unless it is the `last` time, a part that the pilot has not sent yet is left for the next one.
        """
        if self.lines is not None and not self.length:
            part, text = last_lines(ask, attempt, self.lines)
            self.length = part.end
            yield part, text
            return
        while True:
            part = read_part(ask, attempt, self.length)
            if part.awaited and not last:
                return
            yield part, self.news(part)
            if not part.data or part.end >= (part.length or 0):
                return

    def write_new(
        self,
        ask: Interface,
        attempt: Attempt,
        write: Callable[[bytes], None],
        *,
        last: bool = True,
    ) -> None:
        """Write what is new."""
        for _, text in self.parts(ask, attempt, last=last):
            write(text)

    def news(self, part: LogPart) -> bytes:
        """Return what to show of a part."""
        if part.end <= self.length:
            return b""
        before, self.length = self.length, part.end
        if part.offset <= before:
            return part.data[before - part.offset :]
        left_out = human.size(part.offset - before)
        return f"\n[orchestra: {left_out} left out here]\n\n".encode() + part.data


def _again(ask: Interface, address: str, attempt: Attempt) -> Attempt:
    return find_attempt(ask(ShowJob(address)), attempt.number)
