"""The logs of jobs: tails for the database, cutting long ones, and showing those of running jobs."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import psycopg

from orchestra.domain.human import size
from orchestra.domain.models.jobs import LOG, JobPaths
from orchestra.domain.models.work import AttemptKey
from orchestra.files import job_files
from orchestra.pilot.context import Context
from orchestra.pilot.open_log import OpenLog
from orchestra.pilot.state import LocalAttempt, Note
from orchestra.services import work

log = logging.getLogger(__name__)

TAIL_OF_FAILURE = 64 * 1024
TAIL_OF_SUCCESS = 4 * 1024
HEAD_PART = 4
"""A log that is cut keeps one part in four from its beginning, the others from its end."""
_BESIDE = f".{LOG}.cut"
_BLOCK = 1 << 20
_LINE = 4096


def path_of(key: AttemptKey, note: Note) -> Path:
    """Return the path of an attempt's log."""
    return Path(JobPaths(PurePosixPath(note.task_folder), key.index).log(note.folder_number))


def tail(folder: str, limit: int, own: OpenLog | None = None) -> tuple[int | None, bytes | None]:
    """Return the size of an attempt's log and its last bytes, at most `limit`; None where it cannot be read.

    `own` is the log as it was opened for the attempt. If it is missing or empty, the file of that name is read; a pipe
    or the like that a job has put in its place is not.
    """
    printed = _read_end(own.descriptor, limit) if own else (None, None)
    if printed[0] or (own and own.is_at(f"{folder}/{LOG}")):
        return printed
    try:
        descriptor = job_files.open_file(folder, LOG)
    except OSError:
        return printed
    try:
        return _read_end(descriptor, limit)
    finally:
        os.close(descriptor)


def _tail_and_close(
    folder: str, limit: int, own: OpenLog | None
) -> tuple[int | None, bytes | None]:
    try:
        return tail(folder, limit, own)
    finally:
        if own:
            own.close()


def _read_end(descriptor: int, limit: int) -> tuple[int | None, bytes | None]:
    try:
        whole = os.fstat(descriptor).st_size
        return whole, os.pread(descriptor, limit, max(0, whole - limit))
    except OSError:
        return None, None


def cut(folder: str, limit: int, own: OpenLog | None = None) -> None:
    """Cut a log of more than `limit` bytes to its beginning and its end, with a line in between that says so.

    No process may still write to it. The result is written to another file and renamed. A log that cannot be cut stays
    as it is, as does a file that the job has put in the place of its `own` log.
    """
    try:
        with (
            job_files.attempt_folder(folder) as top,
            os.fdopen(job_files.open_file(folder, LOG), "rb") as source,
        ):
            facts = os.fstat(source.fileno())
            is_own = own is None or os.path.samestat(facts, os.fstat(own.descriptor))
            if limit and facts.st_size > limit and is_own:
                _cut(top, source, facts, limit)
    except OSError as error:
        log.warning("%s in %s could not be cut: %s", LOG, folder, error.strerror)


def _cut(top: int, source: BinaryIO, facts: os.stat_result, limit: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(_BESIDE, dir_fd=top)
    try:
        with open(_BESIDE, "xb", opener=partial(os.open, dir_fd=top)) as target:
            os.fchmod(target.fileno(), facts.st_mode & 0o7777)
            if os.geteuid() == 0:
                os.fchown(target.fileno(), facts.st_uid, facts.st_gid)
            head = source.read(limit // HEAD_PART)
            head = head[: head.rfind(b"\n", -_LINE) + 1] or head
            source.seek(facts.st_size - (limit - limit // HEAD_PART))
            skipped = source.readline(_LINE)
            if not skipped.endswith(b"\n"):
                source.seek(-len(skipped), os.SEEK_CUR)
            left_out = source.tell() - len(head)
            target.write(head + _words(left_out, facts.st_size))
            while block := source.read(_BLOCK):
                target.write(block)
        os.replace(_BESIDE, LOG, src_dir_fd=top, dst_dir_fd=top)
    except OSError:
        with suppress(OSError):
            os.unlink(_BESIDE, dir_fd=top)
        raise


def _words(left_out: int, whole: int) -> bytes:
    text = f"[orchestra: {size(left_out)} of this log of {size(whole)} left out here]"
    return f"\n{text}\n\n".encode()


class LogSender:
    """Sends the end of a running job's log on request."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._sending: set[AttemptKey] = set()

    def send(self, address: str) -> None:
        """Send the end of the log of the attempt TASK/N/K, if it runs here."""
        attempt = next(
            (h for h in self.context.state.attempts.values() if str(h.key) == address), None
        )
        if attempt is None or attempt.started_at is None or attempt.key in self._sending:
            return
        self._sending.add(attempt.key)
        own = attempt.log.copy() if attempt.log else None
        folder = str(path_of(attempt.key, attempt.note).parent)
        self.context.workers.submit(
            partial(_tail_and_close, folder, TAIL_OF_FAILURE, own),
            partial(self._read, attempt),
            partial(self._done, attempt.key),
            lane=attempt.key.task_id,
        )

    def _read(self, attempt: LocalAttempt, found: tuple[int | None, bytes | None]) -> None:
        length, end = found
        if length is None or end is None:
            self._done(attempt.key, None)
            return

        def call(conn: psycopg.Connection) -> None:
            work.show_log(conn, attempt.key, length, end)

        done = partial(self._done, attempt.key)
        self.context.database.submit(call, done, done)

    def _done(self, key: AttemptKey, _: object) -> None:
        self._sending.discard(key)
