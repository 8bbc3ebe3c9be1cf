"""Sends parts of logs to readers who cannot read the files: of the jobs that run here, and of those that ran here."""

from __future__ import annotations

import logging
from functools import partial

import psycopg

from orchestra.domain.models.jobs import LOG
from orchestra.domain.models.logs import AskedPart, FoundPart, WantedPart
from orchestra.files import job_logs
from orchestra.pilot.context import Context
from orchestra.pilot.open_log import OpenLog
from orchestra.services import work

log = logging.getLogger(__name__)

AT_A_TIME = 4
"""Parts that are taken at a time, besides those whose volume hangs."""

_Request = tuple[int, int, int, int]
"""Attempt and first byte."""


def read_part(wanted: WantedPart, own: OpenLog | None) -> FoundPart | None:
    """Read a part of a log; None if it cannot be read, or may be someone else's file. Closes `own`.

    `own` is the log as it was opened for the attempt. If it is empty, and the job has put another file in its place,
    that file is read.
    """
    try:
        found = job_logs.read_part(own.descriptor, wanted) if own else None
        if found and (found.length or (own and own.is_at(f"{wanted.folder}/{LOG}"))):
            return found
        return job_logs.read_own_part(wanted) or found
    except OSError:
        return None
    finally:
        if own:
            own.close()


class LogPartSender:
    """Fetches what is asked for, reads it in I/O threads and sends it.

    Few parts are taken at a time, so that other requests to the database are not delayed. One whose volume hangs is
    left to its thread, and the next ones are taken.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self._reading: set[_Request] = set()
        self._fetching = False
        self._more = False

    def wake(self) -> None:
        """Send the parts that are asked for now."""
        if self._fetching:
            self._more = True
            return
        self._fetching, self._more = True, False
        node, limit = self.context.node_id, AT_A_TIME + len(self._reading)

        def call(conn: psycopg.Connection) -> list[AskedPart]:
            return work.log_parts_asked(conn, node, limit)

        self.context.database.submit(call, self._fetched, self._failed)

    def _fetched(self, parts: list[AskedPart]) -> None:
        self._fetching = False
        new = [part for part in parts if _request(part) not in self._reading]
        self._more |= len(new) >= AT_A_TIME
        for part in new:
            self._reading.add(_request(part))
            self.context.workers.submit(
                partial(read_part, part.wanted, self._own(part)),
                partial(self._send, part),
                partial(self._done, part),
                lane=f"logs of task {part.key.task_id}",
            )
        if not new:
            self._take_more()

    def _own(self, part: AskedPart) -> OpenLog | None:
        attempt = self.context.state.attempts.get(part.key)
        return attempt.log.copy() if attempt and attempt.log else None

    def _send(self, part: AskedPart, found: FoundPart | None) -> None:
        def call(conn: psycopg.Connection) -> None:
            work.send_log_part(conn, part, found)

        done = partial(self._done, part)
        self.context.database.submit(call, done, done)

    def _done(self, part: AskedPart, _: object) -> None:
        self._reading.discard(_request(part))
        self._take_more()

    def _take_more(self) -> None:
        if self._more:
            self.wake()

    def _failed(self, error: Exception) -> None:
        log.warning("parts of logs that were asked for could not be looked up: %s", error)
        self._fetching = False


def _request(part: AskedPart) -> _Request:
    return part.key.task_id, part.key.index, part.key.number, part.wanted.start
