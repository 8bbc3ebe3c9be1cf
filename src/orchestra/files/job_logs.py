"""A job's log file: whether it can be read here and is the real log, and its last lines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from orchestra.domain.errors import NotFound
from orchestra.domain.models.jobs import LOG, Attempt
from orchestra.domain.models.logs import PART, FoundPart, WantedPart, first_byte
from orchestra.files import fs_health, job_files

_BLOCK = 1 << 16
_COMPARED = 256
_UNREADABLE = "cannot be read from here"
_HUNG = f"{_UNREADABLE} because its volume does not answer"


def path_of(attempt: Attempt) -> str:
    """The path of an attempt's log."""
    return str(PurePosixPath(attempt.folder) / LOG)


def open_log(attempt: Attempt) -> BinaryIO | None:
    """Open an attempt's log; None if it cannot be read here, or a job has replaced it with something else."""
    if is_silent(attempt):
        return None
    try:
        return os.fdopen(job_files.open_file(attempt.folder, LOG), "rb")
    except OSError:
        return None


def is_silent(attempt: Attempt) -> bool:
    """Whether the volume of an attempt's folder does not answer."""
    return fs_health.first_unresponsive([attempt.folder]) is not None


def unreadable(attempt: Attempt) -> str:
    """Say that an attempt's log cannot be read here, as the start of a sentence."""
    return f"{path_of(attempt)} {_HUNG if is_silent(attempt) else _UNREADABLE}"


def holds(descriptor: int, end: bytes) -> bool:
    """Whether a file is the log whose end was stored. A log that was cut in the middle has the same end."""
    if not end:
        return True  # nothing is known about it, or the job printed nothing
    size = os.fstat(descriptor).st_size
    compared = min(len(end), size, _COMPARED)
    last = os.pread(descriptor, compared, size - compared)
    return size > 0 and end.endswith(last)


def read_part(descriptor: int, wanted: WantedPart) -> FoundPart | None:
    """Read a part of an open log; None if it is not the log whose end is known."""
    if not holds(descriptor, wanted.known_end or b""):
        return None
    length = os.fstat(descriptor).st_size
    return FoundPart(length, os.pread(descriptor, PART, first_byte(wanted.start, length)))


def read_own_part(
    wanted: WantedPart, *, root: str = "", owner: int | None = None
) -> FoundPart | None:
    """Read a part of a log for somebody else, if `job_files.open_own_file` finds the file beyond doubt."""
    try:
        descriptor = job_files.open_own_file(wanted.folder, LOG, root=root, owner=owner)
    except OSError:
        return None
    try:
        return read_part(descriptor, wanted)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def why(attempt: Attempt) -> str:
    """Say why a log file cannot be shown."""
    if is_silent(attempt):
        return _HUNG
    try:
        os.close(job_files.open_file(attempt.folder, LOG))
    except job_files.Untrusted as error:
        return error.strerror or ""
    except FileNotFoundError:
        task_folder = PurePosixPath(attempt.folder).parents[2]
        if os.path.isdir(task_folder):  # noqa: PTH112 - raises nothing
            return "no longer exists"
    except OSError:
        pass
    return _UNREADABLE


def no_log(attempt: Attempt) -> NotFound:
    """Say why a log can be shown neither from its file nor from the database."""
    if attempt.ended_at and not attempt.started_at:
        why = f": {attempt.reason}" if attempt.reason else ""
        return NotFound(
            f"attempt {attempt.number} of job {attempt.task_id}/{attempt.index} never started, "
            f"so it has no log{why}.",
            kind="log",
            task=attempt.task_id,
            job=attempt.index,
        )
    over = "and the database has no copy" if attempt.ended_at else "perhaps not yet"
    return NotFound(
        f"the log {unreadable(attempt)}, {over}.",
        kind="log",
        task=attempt.task_id,
        job=attempt.index,
    )


def seek_last_lines(file: BinaryIO, lines: int) -> None:
    """Seek to the start of the last `lines` lines of a file."""
    end = file.seek(0, os.SEEK_END)
    found, at = 0, end
    while at > 0:
        start = max(0, at - _BLOCK)
        file.seek(start)
        block = file.read(at - start)
        if at == end and block.endswith(b"\n"):
            block = block[:-1]  # the end of the last line does not start another one
        while (index := block.rfind(b"\n")) >= 0:
            found += 1
            if found == lines:
                file.seek(start + index + 1)
                return
            block = block[:index]
        at = start
    file.seek(0)


def last_lines(text: bytes, lines: int) -> bytes:
    """The last lines of a text."""
    return b"".join(text.splitlines(keepends=True)[-lines:]) if lines else b""


def read_blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the rest of a file."""
    while block := file.read(_BLOCK):
        yield block
