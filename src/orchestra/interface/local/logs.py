"""Carries out the requests of `interface/logs.py`."""

from __future__ import annotations

from orchestra.interface import logs as ask
from orchestra.interface.answers.jobs import LogChunk, LogPart
from orchestra.interface.local import Scope
from orchestra.services.jobs import log_parts, logs


def read_log(scope: Scope, asked: ask.ReadLog) -> LogChunk:
    return logs.log_chunk(
        *(scope.conn, asked.task, asked.index, asked.attempt),
        offset=asked.offset,
        refresh=asked.refresh,
    )


def read_log_part(scope: Scope, asked: ask.ReadLogPart) -> LogPart:
    return log_parts.log_part(
        *(scope.conn, asked.task, asked.index, asked.attempt),
        offset=asked.offset,
        read_file=scope.read_log_file,
    )
