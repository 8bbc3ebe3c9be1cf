"""A job's log over HTTP: ranges of bytes, and what its headers say about where they come from."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from orchestra.api import logs
from orchestra.api.byte_ranges import NOWHERE, ByteRange, parse_range
from orchestra.api.call import Call
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.identities import Identity, Via
from orchestra.domain.models.logs import LogSource, first_byte
from orchestra.domain.models.users import User
from orchestra.interface.answers.jobs import LogPart
from orchestra.interface.logs import ReadLogPart

LOG = b"<script>alert(1)</script>\n" + bytes(range(256)) * 9
PART = 100
ANA = Identity(
    User(1, "ana", "ana@example.org", is_admin=False, created_at=datetime(2026, 1, 1, tzinfo=UTC)),
    admin=False,
    via=Via.TOKEN,
)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-", ByteRange(0)),
        ("bytes=1000-", ByteRange(1000)),
        ("Bytes = 5 - 9 ", ByteRange(5, 9)),
        ("bytes=-500", ByteRange(-500)),
        ("bytes=-0", ByteRange(NOWHERE)),
        ("bytes=9-5", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("bytes=١-", None),
        ("bytes=99999999999999999999-", None),
        ("lines=1-2", None),
        ("", None),
    ],
)
def test_the_header(header: str | None, wanted: ByteRange | None) -> None:
    assert parse_range(header) == wanted


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0)


def get(
    *,
    log: bytes | None = LOG,
    kept_from: int = 0,
    awaited: bool = False,
    method: str = "GET",
    query: str = "",
    **headers: str,
) -> tuple[Response, bytes]:
    """The answer, and its body, for a log of which the part from a byte on can be read."""

    def ask(asked: ReadLogPart) -> LogPart:
        assert (asked.task, asked.index, asked.attempt) == (7, 3, 1)
        source = LogSource.TAIL if kept_from else LogSource.FILE
        if log is None:
            return LogPart(asked.offset, b"", None, False, source)
        start = max(first_byte(asked.offset, len(log)), kept_from)
        return LogPart(start, log[start : start + PART], len(log), True, source, awaited, kept_from)

    server = cast("Any", SimpleNamespace(ask=lambda _, asked: ask(asked)))
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    request = Request(
        {
            "type": "http",
            "method": method,
            "path": "/",
            "query_string": query.encode(),
            "headers": lines,
        }
    )
    response = logs.raw_log(Call(server, request, ANA, {"task": "7", "index": "3", "attempt": "1"}))
    if not isinstance(response, StreamingResponse):
        return response, bytes(response.body)

    async def body() -> bytes:
        return b"".join([cast("bytes", block) async for block in response.body_iterator])

    return response, asyncio.run(body())


def test_a_whole_log_is_text_and_nothing_else() -> None:
    response, body = get()
    assert (response.status_code, body) == (200, LOG)
    headers = response.headers
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert headers["Content-Disposition"] == 'inline; filename="job-7-3-1.log"'
    assert headers["Orchestra-Log-Source"] == "file"
    assert headers["Orchestra-Log-Complete"] == "true"
    assert get(query="download")[0].headers["Content-Disposition"].startswith("attachment; ")
    response, body = get(method="HEAD")
    assert (response.headers["Content-Length"], body) == (str(len(LOG)), b"")


@pytest.mark.parametrize("first", [0, 1, 99, 100, 1000, len(LOG) - 1, len(LOG), len(LOG) + 1])
@pytest.mark.parametrize("last", [None, 0, 99, 1234, len(LOG) - 1, len(LOG), 10**9])
def test_a_range_is_that_of_the_file(first: int, last: int | None) -> None:
    response, body = get(range=f"bytes={first}-{'' if last is None else last}")
    if last is not None and last < first:
        assert (response.status_code, body) == (200, LOG)
    elif first >= len(LOG):
        assert (response.status_code, body) == (416, b"")
        assert response.headers["Content-Range"] == f"bytes */{len(LOG)}"
    else:
        wanted = LOG[first:] if last is None else LOG[first : last + 1]
        assert (response.status_code, body) == (206, wanted)
        until = first + len(wanted) - 1
        assert response.headers["Content-Range"] == f"bytes {first}-{until}/{len(LOG)}"


@pytest.mark.parametrize("last", [1, 150, len(LOG), 10**9])
def test_the_last_bytes(last: int) -> None:
    response, body = get(range=f"bytes=-{last}")
    assert (response.status_code, body) == (206, LOG[-last:])


def test_of_a_log_whose_end_alone_is_kept() -> None:
    first = len(LOG) - 250
    kept = f"{first}-{len(LOG) - 1}/{len(LOG)}"
    for header in ("bytes=-1000", f"bytes={first}-"):
        response, body = get(kept_from=first, range=header)
        assert (response.status_code, body) == (206, LOG[first:])
        assert response.headers["Content-Range"] == f"bytes {kept}"
    response, body = get(kept_from=first, range="bytes=5-")
    assert (response.status_code, body) == (416, b"")
    assert response.headers["Orchestra-Log-Kept"] == kept
    assert response.headers["Orchestra-Log-Complete"] == "false"
    response, body = get(kept_from=first)
    assert (response.status_code, body) == (200, LOG[first:])
    assert response.headers["Content-Length"] == "250"


def test_of_a_log_that_its_pilot_does_not_send_in_time() -> None:
    assert get(kept_from=9, awaited=True, range="bytes=5-")[0].status_code == 503
    assert get(awaited=True, range=f"bytes={len(LOG)}-")[0].status_code == 503
    assert get(kept_from=9, awaited=True, range="bytes=-5")[1] == LOG[-5:]


def test_of_an_empty_log_and_of_none() -> None:
    assert get(log=b"")[1] == b""
    assert get(log=b"", range="bytes=0-")[0].status_code == 416
    with pytest.raises(NotFound, match="attempt 1 of job 7/3 can be read, perhaps not yet"):
        get(log=None)


def test_a_resumed_download_without_a_validator_begins_anew() -> None:
    assert get(range="bytes=5-", if_range='"x"')[0].status_code == 200


def test_numbers_in_the_path() -> None:
    nothing = cast("Any", None)
    request = Request(
        {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    )
    for text in ("x", "-1", "", "9" * 30, "१"):
        with pytest.raises(BadInput, match="index is a number"):
            logs.raw_log(Call(nothing, request, ANA, {"task": "7", "index": text, "attempt": "1"}))
