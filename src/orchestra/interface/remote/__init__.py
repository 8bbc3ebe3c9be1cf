"""An interface over HTTP: requests go to a server, which carries them out. It needs no database driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from os import urandom
from time import monotonic, sleep
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from orchestra.domain.errors import BadInput, NotSignedIn, OrchestraError, ServerUnavailable
from orchestra.interface import codec, problems
from orchestra.interface.later import Reference
from orchestra.interface.operation import Request
from orchestra.interface.remote.link import API, Link, Reply
from orchestra.interface.table import OPERATIONS, Operation

if TYPE_CHECKING:
    from orchestra.interface.uploads import Uploads

T = TypeVar("T")

QUESTION_WITHIN, CHANGE_WITHIN = 1.0, 20.0
"""Seconds for which a request is repeated whose answer was lost: a server takes a few to be started again."""
PAUSE = 0.5


class Remote:
    """An `Interface` over a link to a server, for one thread at a time.

    A request whose answer was lost is repeated, a change under the same idempotency key, so that it is made once.
    """

    def __init__(self, link: Link, *, pause: Callable[[float], None] = sleep) -> None:
        self._link = link
        self._pause = pause
        self._closed = False

    def __call__(self, asked: Request[T], /) -> T:
        """Have a request carried out and return its answer.

        Raises:
            ServerUnavailable: the server does not answer, or something else does.
            OrchestraError: as the server says.
        """
        operation = _operations()[Reference.to(type(asked))]
        sent = codec.write(operation, asked)
        reply = self._send(operation, sent)
        if reply.status >= 400:
            raise self._error(reply)
        answer: T = self._read(operation.answer, reply)
        return answer

    @property
    def uploads(self) -> Uploads:
        """The uploads of the server."""
        from orchestra.interface.remote.uploads import RemoteUploads

        return RemoteUploads(self._carry)

    def _carry(self, sent: codec.Written, kind: Any) -> Any:
        """Have a request carried out that does no harm when it is repeated, and return its answer."""
        reply = self._exchange(sent, CHANGE_WITHIN)
        if reply.status >= 400:
            raise self._error(reply)
        return self._read(kind, reply)

    def _send(self, operation: Operation, sent: codec.Written) -> Reply:
        within = CHANGE_WITHIN if operation.changes else QUESTION_WITHIN
        headers = {"Idempotency-Key": urandom(16).hex()} if operation.takes_key else {}
        return self._exchange(
            sent, within, headers, is_secret=operation.secret, is_change=operation.changes
        )

    def _exchange(
        self,
        sent: codec.Written,
        within: float,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        is_secret: bool = False,
        is_change: bool = False,
    ) -> Reply:
        lost, deadline = None, 0.0
        while True:
            try:
                return self._link.exchange(sent.method, API + sent.target, sent.body, headers)
            except ServerUnavailable as error:
                if lost is None and error.params.get("lost") and not is_secret:
                    lost, deadline = error, monotonic() + within
                    continue  # at once: the connection may have been an idle one that was closed
                if lost is None or monotonic() > deadline:
                    unsure = is_change and (lost or error.params.get("unsure"))
                    raise _unsure(lost or error) if unsure else error from None
            self._pause(PAUSE)

    def _error(self, reply: Reply) -> OrchestraError:
        if not reply.kind.startswith(problems.MEDIA_TYPE):
            return self._link.unreadable(f"it is {reply.kind or 'of no type'}.")
        error = problems.error_of(self._read(problems.Problem, reply))
        if isinstance(error, NotSignedIn):
            return self._link.not_signed_in(error)
        return error

    def _read(self, kind: Any, reply: Reply) -> Any:
        try:
            return codec.decode(kind, reply.body)
        except BadInput as error:
            raise self._link.unreadable(error.message) from None

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


def _unsure(error: ServerUnavailable) -> ServerUnavailable:
    """Return the error of a change that the server may have made."""
    return ServerUnavailable(
        error.message,
        hint="The change may have been made: look before you repeat it.",
        **error.params,
    )


@cache
def _operations() -> dict[Reference, Operation]:
    return {operation.reference: operation for operation in OPERATIONS}
