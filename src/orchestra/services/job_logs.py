"""A job's log: from its file where that can be read, else what the database keeps of its end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

import psycopg

from orchestra.domain import human
from orchestra.domain.errors import NotFound
from orchestra.domain.models.jobs import LOG, Attempt
from orchestra.domain.states import JobState
from orchestra.domain.wording import Action, words
from orchestra.files import job_files, silence
from orchestra.interface.answers.jobs import JobReport, LogEnd
from orchestra.services import jobs
from orchestra.services.asking import Ask
from orchestra.store import jobs as store
from orchestra.store import moves, notices

_BLOCK = 1 << 16
_POLL_FILE, _POLL_DATABASE = 0.2, 1.0
_EXPLAIN_EVERY = 5.0
_COMPARED = 256
_IN_LINE = (JobState.REGISTERED, JobState.ASSIGNED)


_UNREADABLE = "cannot be read from here"
_HUNG = f"{_UNREADABLE}, for its volume does not answer"


def find_attempt(report: JobReport, number: int | None) -> Attempt:
    """Give an attempt of a job, the latest one unless a number is given.

    Raises:
        NotFound: there is none.
    """
    address = f"{report.task.id}/{report.job.ordinal}"
    if not report.attempts:
        raise NotFound(
            f"job {address} has not run yet, so it has no log.",
            hint=words(Action.SHOW_JOB(task=report.task.id, job=report.job.ordinal)),
        )
    if number is None:
        return report.attempts[-1]
    for attempt in report.attempts:
        if attempt.number == number:
            return attempt
    first, last = report.attempts[0].number, report.attempts[-1].number
    has = f"only {first}" if first == last else f"{first} to {last}"
    raise NotFound(f"job {address} has no attempt {number}; its attempts are numbered {has}.")


def path_of(attempt: Attempt) -> str:
    """Give where an attempt's log is."""
    return str(PurePosixPath(attempt.folder) / LOG)


def kept_end(conn: psycopg.Connection, attempt: Attempt) -> LogEnd:
    """Give what the database keeps of an attempt's log."""
    return LogEnd(*store.log_tail(conn, attempt.task_id, attempt.ordinal, attempt.number))


def ask_for_end(conn: psycopg.Connection, attempt: Attempt) -> None:
    """Have the pilot that runs an attempt send the end of its log as it is now; it comes within a second or so."""
    key = f"{attempt.task_id}/{attempt.ordinal}/{attempt.number}"
    moves.wake(conn, notices.NODE, f"{notices.TAIL}{key}")


def present_end(
    conn: psycopg.Connection,
    attempt: Attempt,
    *,
    patience: float = 2.0,
    sleep: Callable[[float], None] = time.sleep,
) -> LogEnd:
    """Give the end of an attempt's log, as new as its pilot can tell it within `patience` seconds."""
    before = found = kept_end(conn, attempt)
    if attempt.ended_at or not attempt.started_at:
        return before
    ask_for_end(conn, attempt)
    deadline = time.monotonic() + patience
    while found == before and time.monotonic() < deadline:
        sleep(_POLL_FILE)
        found = kept_end(conn, attempt)
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """A log as it can be shown: its file, to be closed by the caller, else what the database keeps, and why."""

    file: BinaryIO | None
    end: LogEnd | None = None
    why: str = ""


def find(conn: psycopg.Connection, attempt: Attempt) -> Found:
    """Find what an attempt has printed: in its file, unless that is something else by now."""
    file = open_log(attempt)
    if attempt.ended_at is None or attempt.lost_at is not None:
        return Found(file) if file else Found(None, present_end(conn, attempt), _why(attempt))
    end = kept_end(conn, attempt)
    if file and not _holds(file, end):
        file.close()
        why = "is not what the job printed: the job replaced it, or it was changed since"
        return Found(None, end, why)
    return Found(file) if file else Found(None, end, _why(attempt))


def _holds(file: BinaryIO, end: LogEnd) -> bool:
    """Whether a file is the log whose end was kept: it may have been cut in the middle, and ends as that does."""
    if not end.tail or end.length is None:
        return True  # nothing is known of it, or the job has printed nothing into it
    size = os.fstat(file.fileno()).st_size
    compared = min(len(end.tail), size, _COMPARED)
    last = os.pread(file.fileno(), compared, size - compared)
    return size > 0 and end.tail.endswith(last)


def _why(attempt: Attempt) -> str:
    """Say why a log's file cannot be shown."""
    if is_silent(attempt):
        return _HUNG
    try:
        os.close(job_files.open_file(attempt.folder, LOG))
    except job_files.Untrusted as error:
        return error.strerror or ""
    except FileNotFoundError:
        task_folder = PurePosixPath(attempt.folder).parents[2]
        if os.path.isdir(task_folder):  # noqa: PTH112 - raises nothing
            return "is not there any more"
    except OSError:
        pass
    return _UNREADABLE


def open_log(attempt: Attempt) -> BinaryIO | None:
    """Open an attempt's log; None where it cannot be read from here, or a job has put something else in its place."""
    if is_silent(attempt):
        return None
    try:
        return os.fdopen(job_files.open_file(attempt.folder, LOG), "rb")
    except OSError:
        return None


def is_silent(attempt: Attempt) -> bool:
    """Whether the volume of an attempt's folder does not answer."""
    return silence.first_silent([attempt.folder]) is not None


def unreadable(attempt: Attempt) -> str:
    """Say that an attempt's log cannot be read from here, to go on after a comma or a semicolon."""
    return f"{path_of(attempt)} {_HUNG if is_silent(attempt) else _UNREADABLE}"


def no_log(attempt: Attempt) -> NotFound:
    """Say why an attempt's log can be shown neither from its file nor from the database."""
    if attempt.ended_at and not attempt.started_at:
        why = f": {attempt.reason}" if attempt.reason else ""
        return NotFound(
            f"attempt {attempt.number} of job {attempt.task_id}/{attempt.ordinal} was never begun, "
            f"so it has no log{why}."
        )
    over = "and the database has kept nothing of it" if attempt.ended_at else "perhaps not yet"
    return NotFound(f"the log {unreadable(attempt)}, {over}.")


def seek_last_lines(file: BinaryIO, lines: int) -> None:
    """Go to where the last `lines` lines of a file begin."""
    end = file.seek(0, os.SEEK_END)
    found, at = 0, end
    while at > 0:
        start = max(0, at - _BLOCK)
        file.seek(start)
        block = file.read(at - start)
        if at == end and block.endswith(b"\n"):
            block = block[:-1]  # the last line's own end begins no other line
        while (index := block.rfind(b"\n")) >= 0:
            found += 1
            if found == lines:
                file.seek(start + index + 1)
                return
            block = block[:index]
        at = start
    file.seek(0)


def last_lines(text: bytes, lines: int) -> bytes:
    """Give the last lines of a text."""
    return b"".join(text.splitlines(keepends=True)[-lines:]) if lines else b""


def read_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Give what is left of a file."""
    while block := file.read(_BLOCK):
        yield block


def await_attempt(
    ask: Ask,
    address: str,
    number: int | None,
    *,
    waits: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Attempt:
    """Give an attempt of a job; where the job has had none yet, wait for its first.

    `waits` is told in a sentence what the job waits for, and again when that is something else.

    Raises:
        NotFound: there is no such attempt, and none will be.
    """
    told = _Waiting(ask, address, waits)
    while True:
        report = ask(lambda conn: jobs.show(conn, address))
        if report.attempts or number not in (None, 1) or report.job.state not in _IN_LINE:
            return find_attempt(report, number)
        told.tell()
        sleep(_POLL_DATABASE)


@dataclass(slots=True)
class _Waiting:
    """Says why a job waits, when that is new."""

    ask: Ask
    address: str
    say: Callable[[str], None]
    said: str = ""
    asked: float = float("-inf")

    def tell(self) -> None:
        from orchestra.services.explain import explain

        if time.monotonic() - self.asked < _EXPLAIN_EVERY:
            return
        self.asked = time.monotonic()
        why = self.ask(lambda conn: explain(conn, self.address)).explanation.headline
        if why != self.said:
            self.said = why
            self.say(why)


def follow(
    ask: Ask,
    address: str,
    attempt: Attempt,
    *,
    write: Callable[[bytes], None],
    turn: Callable[[Attempt], None],
    waits: Callable[[str], None] = lambda _: None,
    lines: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Attempt:
    """Write an attempt's log as it grows until the attempt has ended, then the next one's if there is one.

    `turn` is told of each attempt before its log begins, `waits` what the job waits for between two. Gives the last
    attempt.
    """
    while True:
        turn(attempt)
        attempt = _follow_one(ask, address, attempt, write, waits, lines, sleep)
        following = _next_attempt(ask, address, attempt, waits, sleep)
        if following is None:
            return attempt
        attempt, lines = following, None


def _next_attempt(
    ask: Ask,
    address: str,
    attempt: Attempt,
    waits: Callable[[str], None],
    sleep: Callable[[float], None],
) -> Attempt | None:
    """Give the attempt after one that has ended; wait for it as long as the job is in line for one."""
    told = _Waiting(ask, address, waits)
    while True:
        report = ask(lambda conn: jobs.show(conn, address))
        for later in report.attempts:
            if later.number > attempt.number:
                return later
        if report.job.state is not JobState.ASSIGNED or not report.task.state.may_claim:
            return None
        told.tell()
        sleep(_POLL_DATABASE)


def _follow_one(
    ask: Ask,
    address: str,
    attempt: Attempt,
    write: Callable[[bytes], None],
    waits: Callable[[str], None],
    lines: int | None,
    sleep: Callable[[float], None],
) -> Attempt:
    file: BinaryIO | None = None
    asked, told, said = 0.0, _Told(lines), False
    try:
        while True:
            over = attempt.ended_at is not None or attempt.lost_at is not None
            silent = is_silent(attempt)
            if silent and not said:
                waits(f"the log {unreadable(attempt)}")
            said = silent
            file_wanted = file is None and not told.length and not silent
            if file_wanted and (file := open_log(attempt)) and lines is not None:
                seek_last_lines(file, lines)
            if file and not silent:
                _show_new(file, write)
            if over:
                break
            sleep(_POLL_FILE)
            if time.monotonic() - asked >= _POLL_DATABASE:
                asked = time.monotonic()
                if file is None:
                    write(told.news(_end_so_far(ask, attempt)))
                attempt = _again(ask, address, attempt)
        write(_replaced(ask, attempt, file) if file else b"")
    finally:
        if file:
            file.close()
    if file is None:
        write(told.news(ask(lambda conn: kept_end(conn, attempt))))
    return attempt


def _end_so_far(ask: Ask, attempt: Attempt) -> LogEnd:
    """Give what is kept of a log whose attempt goes on, and have it told anew."""
    end = ask(lambda conn: kept_end(conn, attempt))
    ask(lambda conn: ask_for_end(conn, attempt))
    return end


def _show_new(file: BinaryIO, write: Callable[[bytes], None]) -> None:
    """Write what a file has more; from its beginning where it was emptied meanwhile."""
    if os.fstat(file.fileno()).st_size < file.tell():
        file.seek(0)
    for block in read_blocks(file):
        write(block)


def _replaced(ask: Ask, attempt: Attempt, file: BinaryIO) -> bytes:
    """Give the end of what an attempt printed where the file that was shown is another one."""
    end = (
        ask(lambda conn: kept_end(conn, attempt))
        if attempt.ended_at and not attempt.lost_at
        else None
    )
    if end is None or end.tail is None or _holds(file, end):
        return b""
    return b"\n[orchestra: the job replaced its log; the end of what it printed:]\n\n" + end.tail


@dataclass(slots=True)
class _Told:
    """How much of a log has been shown that is seen through the database alone; of the first news only some lines."""

    lines: int | None
    length: int = 0

    def news(self, end: LogEnd) -> bytes:
        if end.tail is None or end.length is None or end.length <= self.length:
            return b""
        new, first, self.length = end.length - self.length, not self.length, end.length
        if first and self.lines is not None:
            return last_lines(end.tail, self.lines)
        if new <= len(end.tail):
            return end.tail[-new:]
        left_out = human.size(new - len(end.tail))
        return f"\n[orchestra: {left_out} left out here]\n\n".encode() + end.tail


def _again(ask: Ask, address: str, attempt: Attempt) -> Attempt:
    return find_attempt(ask(lambda conn: jobs.show(conn, address)), attempt.number)
