"""A job's log as it is, whole or a range of its bytes, from wherever it can be read.

The headers say more than the status: `Orchestra-Log-Source` is file, relay (by the pilot that ran the attempt) or tail
(the end that the database keeps), `Orchestra-Log-Complete` whether the log can be read from its first byte on,
`Orchestra-Log-Over` whether nothing will be added to it, and `Orchestra-Log-Kept` which bytes can be read, as
`FIRST-LAST/LENGTH`. 503: the pilot that can read the log has not sent this range in time.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import BoundedSemaphore

from starlette.responses import Response, StreamingResponse

from orchestra.api.byte_ranges import parse_range
from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.operations import API
from orchestra.domain.errors import BadInput, NotFound
from orchestra.interface.answers.jobs import LogPart
from orchestra.interface.following import PATIENCE, read_part

PATH = "/tasks/{task}/jobs/{index}/attempts/{attempt}/log"
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-store",
}
_WAITING = BoundedSemaphore(8)
"""Requests that wait for a pilot at a time: one on a volume that hangs does not answer, and threads are few."""


class LogChanged(Exception):
    """The log became shorter, or its source went away, while it was sent; the connection ends early."""


def raw_log(call: Call) -> Response:
    """Return an attempt's log, or a range of it.

    Raises:
        NotFound: there is no such attempt, or nothing of its log can be read.
        BadInput: a number in the path is none.
    """
    log = _Log(call)
    wanted = (
        None
        if "if-range" in call.request.headers
        else parse_range(call.request.headers.get("range"))
    )
    part = log.read(wanted.start if wanted else 0)
    length = part.length
    if length is None:
        raise NotFound(
            f"nothing of the log of attempt {log.attempt} of job {log.task}/{log.index} can be read"
            f"{'' if part.over else ', perhaps not yet'}.",
            kind="log",
            task=log.task,
            job=log.index,
        )
    headers = _HEADERS | _about(part) | _disposition(call, log)
    if wanted is None:
        begin, end, status = part.kept_from, length, 200
        if part.offset != begin:
            part = log.read(begin)
    else:
        begin = wanted.start if wanted.start >= 0 else part.offset
        end = length if wanted.last is None else min(length, wanted.last + 1)
        missing = begin >= length or begin < part.kept_from
        if missing and part.awaited:  # it may well be there
            return Response(status_code=503, headers=headers | {"Retry-After": "2"})
        if missing:
            return Response(
                status_code=416, headers=headers | {"Content-Range": f"bytes */{length}"}
            )
        status = 206
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{length}"
    headers["Content-Length"] = str(end - begin)
    kind = "text/plain; charset=utf-8"
    if call.request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    return StreamingResponse(log.blocks(part, begin, end), status, headers, kind)


class _Log:
    """An attempt's log, read in parts."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.task, self.index, self.attempt = (
            _number(call, name) for name in ("task", "index", "attempt")
        )

    def read(self, offset: int) -> LogPart:
        patient = _WAITING.acquire(blocking=False)
        try:
            return read_part(
                self._call.ask,
                (self.task, self.index, self.attempt),
                offset,
                patience=PATIENCE if patient else 0,
            )
        finally:
            if patient:
                _WAITING.release()

    def blocks(self, part: LogPart, begin: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `begin` to `end`, of which `part` has the first ones."""
        source = part.source
        while begin < end:
            if part.offset != begin or not part.data or part.source is not source:
                raise LogChanged
            yield part.data[: end - begin]
            begin = part.end
            if begin < end:
                part = self.read(begin)


def _number(call: Call, name: str) -> int:
    text = call.params[name]
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise BadInput(f'{name} is a number, not "{text}".')
    return int(text)


def _about(part: LogPart) -> dict[str, str]:
    last = max(0, (part.length or 0) - 1)
    return {
        "Orchestra-Log-Source": part.source,
        "Orchestra-Log-Complete": str(part.kept_from == 0).lower(),
        "Orchestra-Log-Over": str(part.over).lower(),
        "Orchestra-Log-Kept": f"{part.kept_from}-{last}/{part.length}",
    }


def _disposition(call: Call, log: _Log) -> dict[str, str]:
    """With `?download`, a browser saves the log instead of showing it."""
    how = "attachment" if "download" in call.request.query_params else "inline"
    name = f"job-{log.task}-{log.index}-{log.attempt}.log"
    return {"Content-Disposition": f'{how}; filename="{name}"'}


ENDPOINTS = (Endpoint("GET", API + PATH, raw_log),)
