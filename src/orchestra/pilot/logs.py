"""The logs of jobs: their ends for the database, long ones cut, running ones shown to who cannot see the volume."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath

import psycopg

from orchestra.domain.human import size
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.work import AttemptKey
from orchestra.pilot.desk import Desk
from orchestra.pilot.state import Held, Note
from orchestra.services import work

log = logging.getLogger(__name__)

TAIL_OF_FAILURE = 64 * 1024
TAIL_OF_SUCCESS = 4 * 1024
HEAD_PART = 4
"""A log that is cut keeps one part in so many of its beginning, the others of its end."""
_BLOCK = 1 << 20
_LINE = 4096


def path_of(key: AttemptKey, note: Note) -> Path:
    """Give where an attempt's log is."""
    return Path(JobPaths(PurePosixPath(note.task_folder), key.ordinal).log(note.folder_number))


def tail(path: Path, limit: int) -> tuple[int | None, bytes | None]:
    """Give the size of a log and its last bytes, at most `limit`; nothing for one that cannot be read.

    What a job has put in its place, such as a pipe, is none.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None, None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return None, None
        whole = facts.st_size
        return whole, os.pread(descriptor, limit, max(0, whole - limit))
    except OSError:
        return None, None
    finally:
        os.close(descriptor)


def cut(path: Path, limit: int) -> None:
    """Cut a log of more than `limit` bytes to its beginning and its end, with a line in between that says so.

    Nobody may write to it any more. Written beside and renamed; a log that cannot be cut stays as it is.
    """
    try:
        facts = path.lstat()
        if limit and stat.S_ISREG(facts.st_mode) and facts.st_size > limit:
            _cut(path, limit)
    except OSError as error:
        log.warning("%s could not be cut: %s", path, error.strerror)


def _cut(path: Path, limit: int) -> None:
    beside = path.with_name(f".{path.name}.cut")
    with suppress(FileNotFoundError):
        beside.unlink()
    try:
        with path.open("rb") as source, beside.open("xb") as target:
            facts = os.fstat(source.fileno())
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
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def _words(left_out: int, whole: int) -> bytes:
    text = f"[orchestra: {size(left_out)} of this log of {size(whole)} left out here]"
    return f"\n{text}\n\n".encode()


class LogSender:
    """Sends the end of a running job's log when somebody asks for it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._sending: set[AttemptKey] = set()

    def send(self, address: str) -> None:
        """Send the log's end of the attempt TASK/N/K, if it is here."""
        held = next((h for h in self.desk.state.held.values() if str(h.key) == address), None)
        if held is None or held.began is None or held.key in self._sending:
            return
        self._sending.add(held.key)
        self.desk.workers.submit(
            partial(tail, path_of(held.key, held.note), TAIL_OF_FAILURE),
            partial(self._read, held),
            partial(self._done, held.key),
            lane=held.key.task_id,
        )

    def _read(self, held: Held, found: tuple[int | None, bytes | None]) -> None:
        length, end = found
        if length is None or end is None:
            self._done(held.key, None)
            return

        def call(conn: psycopg.Connection) -> None:
            work.show_log(conn, held.key, length, end)

        done = partial(self._done, held.key)
        self.desk.courier.ask(call, done, done)

    def _done(self, key: AttemptKey, _: object) -> None:
        self._sending.discard(key)
