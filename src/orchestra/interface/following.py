"""Reading and following a job's log: its file if that can be read here, else the end that the database keeps."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from orchestra.domain import human
from orchestra.domain.errors import NotFound
from orchestra.domain.models.jobs import Attempt
from orchestra.domain.states import Cause, JobState
from orchestra.domain.wording import Action, words
from orchestra.files import job_logs
from orchestra.interface.answers.jobs import JobReport, LogChunk
from orchestra.interface.jobs import ShowJob
from orchestra.interface.logs import ReadLog
from orchestra.interface.operation import Interface

_POLL_FILE, _POLL_DATABASE = 0.2, 1.0
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


def read_kept(
    ask: Interface, attempt: Attempt, offset: int = 0, *, refresh: bool = False
) -> LogChunk:
    """Return the stored part of an attempt's log from a byte offset on."""
    return ask(ReadLog(attempt.task_id, attempt.index, attempt.number, offset, refresh))


def present_end(
    ask: Interface,
    attempt: Attempt,
    *,
    patience: float = 2.0,
    sleep: Callable[[float], None] = time.sleep,
) -> LogChunk:
    """Return the end of an attempt's log, as recent as its pilot can send it within `patience` seconds."""
    before = found = read_kept(ask, attempt, refresh=True)
    if attempt.ended_at or not attempt.started_at:
        return before
    deadline = time.monotonic() + patience
    while found == before and time.monotonic() < deadline:
        sleep(_POLL_FILE)
        found = read_kept(ask, attempt)
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """A log: its file, to be closed by the caller, else the part that the database keeps, and why."""

    file: BinaryIO | None
    end: LogChunk | None = None
    why: str = ""


def find(ask: Interface, attempt: Attempt) -> Found:
    """Find an attempt's log: its file, unless that has been replaced."""
    file = job_logs.open_log(attempt)
    if attempt.ended_at is None or attempt.lost_at is not None:
        return (
            Found(file) if file else Found(None, present_end(ask, attempt), job_logs.why(attempt))
        )
    end = read_kept(ask, attempt)
    if file and not job_logs.holds(file, end.data):
        file.close()
        why = "is not what the job printed: the job replaced it, or it was changed since"
        return Found(None, end, why)
    return Found(file) if file else Found(None, end, job_logs.why(attempt))


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
                    write(told.news(read_kept(ask, attempt, told.length, refresh=True)))
                attempt = _again(ask, address, attempt)
        write(_replaced(ask, attempt, file) if file else b"")
    finally:
        if file:
            file.close()
    if file is None:
        write(told.news(read_kept(ask, attempt, told.length)))
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
    if job_logs.holds(file, end):
        return b""
    return b"\n[orchestra: the job replaced its log; the end of what it printed:]\n\n" + end


@dataclass(slots=True)
class _Shown:
    """How much of a log that is read from the database has been shown; of its first part only some lines are."""

    lines: int | None
    length: int = 0

    def news(self, chunk: LogChunk) -> bytes:
        if chunk.length is None or chunk.length <= self.length:
            return b""
        before, self.length = self.length, chunk.length
        if not before and self.lines is not None:
            return job_logs.last_lines(chunk.data, self.lines)
        if chunk.offset <= before:
            return chunk.data
        left_out = human.size(chunk.offset - before)
        return f"\n[orchestra: {left_out} left out here]\n\n".encode() + chunk.data


def _again(ask: Interface, address: str, attempt: Attempt) -> Attempt:
    return find_attempt(ask(ShowJob(address)), attempt.number)
