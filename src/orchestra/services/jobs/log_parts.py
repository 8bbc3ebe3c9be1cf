"""Any part of a job's log, for readers who cannot read the file: from whoever can, else what the database keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg

from orchestra.domain.models.logs import FoundPart, LogSource, WantedPart, first_byte
from orchestra.domain.storable import check_whole
from orchestra.interface.answers.jobs import LogPart
from orchestra.services.jobs.logs import log_chunk, no_such_attempt
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction
from orchestra.store.jobs import log_parts as store
from orchestra.store.jobs.log_parts import LogPlace

_MOST = 2**62


def log_part(
    conn: psycopg.Connection,
    task: int,
    index: int,
    number: int,
    *,
    offset: int = 0,
    read_file: Callable[[str, WantedPart], FoundPart | None] = lambda _account, _wanted: None,
) -> LogPart:
    """Return a part of an attempt's log, or ask its pilot to send it.

    Args:
        offset: the first byte; from the log's end if negative.
        read_file: reads the file of an account, if this process may.

    Raises:
        NotFound: there is no such attempt.
        BadInput: the offset is invalid.
    """
    check_whole("an offset", offset, least=-_MOST, most=_MOST)
    place = store.place(conn, task, index, number)
    if place is None:
        raise no_such_attempt(task, index, number)
    if place.account:
        found = read_file(place.account, WantedPart(place.folder, offset, place.known_end))
        if found:
            return _part(place, offset, found, LogSource.FILE)
    if not place.started or (place.over and not place.grows and place.first == 0):
        return _kept(conn, (task, index, number), place, offset)  # nothing else was printed
    sent = _sent(conn, (task, index, number), offset, place)
    if isinstance(sent, FoundPart):
        return _part(place, offset, sent, LogSource.RELAY)
    return replace(_kept(conn, (task, index, number), place, offset), awaited=sent)


def _part(place: LogPlace, offset: int, found: FoundPart, source: LogSource) -> LogPart:
    start = first_byte(offset, found.length)
    return LogPart(start, found.data, found.length, place.over, source)


def _sent(
    conn: psycopg.Connection, attempt: tuple[int, int, int], start: int, place: LogPlace
) -> FoundPart | bool:
    """Return the part that the pilot has sent, else whether it was asked to."""
    node = place.node
    if node is None or not place.has_sender:
        return False

    def take_or_ask() -> FoundPart | bool:
        found = store.take(conn, *attempt, start)
        if found is True and store.ask(conn, *attempt, start, node=node):
            channels.notify(conn, channels.NODE, f"{channels.PART}{node}")
        return found

    return in_transaction(conn, take_or_ask)


def _kept(
    conn: psycopg.Connection, attempt: tuple[int, int, int], place: LogPlace, offset: int
) -> LogPart:
    """Return what the database keeps of a part; a pilot of schema 15 is asked for the present end."""
    start = offset if offset >= 0 else first_byte(offset, place.length or 0)
    chunk = log_chunk(conn, *attempt, offset=start, refresh=not place.has_sender)
    first = place.first or 0
    return LogPart(
        chunk.offset, chunk.data, chunk.length, chunk.over, LogSource.TAIL, kept_from=first
    )
