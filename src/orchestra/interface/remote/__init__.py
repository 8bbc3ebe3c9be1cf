"""An interface over HTTP: requests go to a server, which carries them out. It needs no database driver."""

from __future__ import annotations

import secrets
from functools import cache
from time import sleep
from typing import Any, TypeVar

from orchestra.domain.errors import OrchestraError, ServerUnavailable
from orchestra.interface import codec, problems
from orchestra.interface.operation import Change, Request
from orchestra.interface.remote.link import API, Link, Reply
from orchestra.interface.table import OPERATIONS, Operation

T = TypeVar("T")

TRIES = 3
PAUSE = 0.5
"""Seconds before a request is repeated whose answer was lost."""


class Remote:
    """An `Interface` over a link to a server, for one thread at a time."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._closed = False

    def __call__(self, asked: Request[T], /) -> T:
        """Have a request carried out and return its answer.

        A request whose answer was lost is repeated, a change under the same idempotency key: it is made once.

        Raises:
            ServerUnavailable: the server does not answer, or something else does.
            OrchestraError: as the server says.
        """
        operation = _operations()[type(asked)]
        sent = codec.write(operation, asked)
        headers = {"Idempotency-Key": secrets.token_hex(16)} if isinstance(asked, Change) else {}
        reply = self._send(sent, headers)
        if reply.status >= 400:
            raise _error(reply, self._link)
        answer: T = codec.decode(operation.answer, reply.body)
        return answer

    def _send(self, sent: codec.Written, headers: dict[str, str]) -> Reply:
        losses = 0
        while True:
            try:
                return self._link.exchange(sent.method, API + sent.target, sent.body, headers)
            except ServerUnavailable as error:
                losses += 1
                if losses == TRIES or not error.params.get("lost"):
                    raise
                if losses > 1:  # the first time, an idle connection may have been closed
                    sleep(PAUSE)

    @property
    def closed(self) -> bool:
        """Whether `close` was called; a lost connection is made again."""
        return self._closed

    def works(self) -> bool:
        """Whether requests can be made; they connect again by themselves."""
        return not self._closed

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._link.close()


@cache
def _operations() -> dict[type[Request[Any]], Operation]:
    return {operation.request: operation for operation in OPERATIONS}


def _error(reply: Reply, link: Link) -> OrchestraError:
    if not reply.kind.startswith(problems.MEDIA_TYPE):
        raise link.stranger(reply)
    return problems.error_of(codec.decode(problems.Problem, reply.body))
