"""Who is at the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request as HttpRequest
from uvicorn.protocols.http.h11_impl import H11Protocol

_PEER = "orchestra.peer"
_UCRED = struct.Struct("iII")  # of socket(7): pid, uid, gid


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that has connected."""

    pid: int
    uid: int


class PeerProtocol(H11Protocol):
    """HTTP that knows the peers of Unix sockets."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask the kernel who has connected."""
        super().connection_made(transport)
        found: socket.socket | None = transport.get_extra_info("socket")
        if found is not None and found.family == socket.AF_UNIX:
            raw = found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            pid, uid, _gid = _UCRED.unpack(raw)
            self.app_state: dict[str, Any] = {**self.app_state, _PEER: Peer(pid, uid)}


def peer_of(request: HttpRequest) -> Peer | None:
    """Return who has connected to the Unix socket; None for a request over TCP."""
    found: Peer | None = request.scope.get("state", {}).get(_PEER)
    return found
