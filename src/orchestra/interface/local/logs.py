"""Carries out the requests of `interface/logs.py`."""

from __future__ import annotations

from orchestra.domain.errors import NotAllowed
from orchestra.interface import logs as ask
from orchestra.interface.answers.jobs import LogChunk, LogPart
from orchestra.interface.local import Scope
from orchestra.services.jobs import log_parts, logs
from orchestra.services.tasks import selection


def read_log(scope: Scope, asked: ask.ReadLog) -> LogChunk:
    _check_may_read(scope, asked.task)
    return logs.log_chunk(
        *(scope.conn, asked.task, asked.index, asked.attempt),
        offset=asked.offset,
        refresh=asked.refresh,
    )


def read_log_part(scope: Scope, asked: ask.ReadLogPart) -> LogPart:
    _check_may_read(scope, asked.task)
    return log_parts.log_part(
        *(scope.conn, asked.task, asked.index, asked.attempt),
        offset=asked.offset,
        read_file=scope.read_log_file,
    )


def _check_may_read(scope: Scope, task: int) -> None:
    """Refuse the logs of others where the server keeps them closed.

    Raises:
        NotFound: there is no such task.
        NotAllowed: it belongs to somebody else.
    """
    if scope.through is None or scope.through.open_logs:
        return
    owner = selection.find(scope.conn, str(task)).owner
    if not scope.may_read_logs_of(owner):
        raise NotAllowed(
            f'the logs of task {task} are shown to user "{owner}" and to admins only, and you are '
            f'"{scope.caller.name}".',
            hint='So the operator of this server decided, with "open_logs" in its configuration.',
        )
