"""Reports to the database that attempts have started."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic
from uuid import UUID

import psycopg

from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.work import AttemptKey, Started
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.state import LocalAttempt, Phase
from orchestra.services import work

log = logging.getLogger(__name__)

REPORT_AFTER = 0.05
"""Seconds after which a start is reported. Of a job that ends sooner, only the outcome is."""
RETRY_SECONDS = 5.0


class StartReporter:
    """Reports starts, one batch at a time."""

    def __init__(self, context: Context, end: Callable[[AttemptKey, str], None]) -> None:
        """`end` is called with attempts that the database has given to others, and a reason."""
        self.context, self._end = context, end
        self._reporting = False
        self._not_before = 0.0

    def tick(self) -> float:
        """Report the starts that are due; return the next wake-up."""
        if self._reporting:
            return inf
        if monotonic() < self._not_before:
            return self._not_before
        now = boottime()
        unreported = [
            (attempt, attempt.started_at)
            for attempt in self.context.state.attempts.values()
            if attempt.phase is Phase.RUNNING
            and attempt.started_at is not None
            and not attempt.start_reported
        ]
        due = [attempt for attempt, started_at in unreported if now - started_at >= REPORT_AFTER]
        if due:
            keeper = due[0].keeper
            self._send(keeper, [attempt for attempt in due if attempt.keeper == keeper])
            return inf
        waits = [REPORT_AFTER - now + started_at for _, started_at in unreported]
        return monotonic() + max(0.0, min(waits)) if waits else inf

    def _send(self, keeper: UUID, batch: list[LocalAttempt]) -> None:
        self._reporting = True
        for attempt in batch:
            attempt.start_reported = True

        def call(conn: psycopg.Connection) -> tuple[AttemptKey, ...]:
            now = boottime()
            starts = [
                Started(
                    attempt.key,
                    max(0.0, now - (attempt.started_at or now)),
                    attempt.note.devices,
                    attempt.note.image_digest,
                )
                for attempt in batch
            ]
            return work.started(conn, keeper, starts)

        self.context.database.submit(call, self._reported, partial(self._failed, batch))

    def _reported(self, refused: tuple[AttemptKey, ...]) -> None:
        self._reporting = False
        for key in refused:
            self._end(key, "its job was given to another attempt")

    def _failed(self, batch: list[LocalAttempt], error: Exception) -> None:
        log.error("reporting starts failed: %s", error, exc_info=if_unexpected(error))
        self._reporting = False
        self._not_before = monotonic() + RETRY_SECONDS
        for attempt in batch:
            attempt.start_reported = False


def if_unexpected(error: Exception) -> Exception | None:
    """Return an error whose traceback belongs in the log; the message of an `OrchestraError` is sufficient."""
    return None if isinstance(error, OrchestraError) else error
