"""One request to the server, as handlers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request as HttpRequest

from orchestra.api.server import Server
from orchestra.domain.errors import NotSignedIn
from orchestra.domain.identities import Identity
from orchestra.interface.operation import Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Args:
        request: Starlette's; its body is in `body`, since handlers are not async.
        who: who makes it; None only where the endpoint is open.
        params: the values in the path, decoded.
    """

    server: Server
    request: HttpRequest
    who: Identity | None
    params: Mapping[str, str]
    body: bytes = b""

    @property
    def identity(self) -> Identity:
        """Who makes the request.

        Raises:
            NotSignedIn: nobody that the server knows.
        """
        if self.who is None:
            raise NotSignedIn
        return self.who

    def ask(self, asked: Request[T]) -> T:
        """Carry out a request of the interface on behalf of who makes this one.

        Raises:
            OrchestraError: as the request does.
        """
        return self.server.ask(self.identity, asked)
