"""Who is at the other end of a Unix socket, as the kernel says."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request as HttpRequest
from uvicorn.protocols.http.h11_impl import H11Protocol

from orchestra.domain.errors import NotSignedIn

_PEER = "orchestra.peer"
_SSH = frozenset({"sshd", "sshd-session", "dropbear"})
_PROXIES = frozenset(
    {"apache2", "caddy", "envoy", "haproxy", "httpd", "lighttpd", "nginx", "socat", "traefik"}
)
"""Programs that pass on what others send, by the names that the kernel has for their processes."""
_PASSED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
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


def check_peer(
    peer: Peer, headers: Mapping[str, str], *, trust_ssh: bool, program: str | None = None
) -> None:
    """Refuse a peer that passes on what somebody else sends: its account does not say who that is.

    Args:
        program: the name of the peer's program, by default as the kernel has it.

    Raises:
        NotSignedIn: it does, or its program cannot be told.
    """
    name = program_of(peer) if program is None else program
    if name in _SSH and not trust_ssh:
        raise NotSignedIn(
            "whoever uses this tunnel must sign in.",
            hint='Send a token, or have the operator set "trust_ssh" if only the one who logged in can use a tunnel.',
        )
    if not name:
        raise NotSignedIn(
            "the server cannot see which program has connected to its socket.",
            hint="Send a token: Authorization: Bearer orc_...",
        )
    if name in _PROXIES or any(each in headers for each in _PASSED_ON):
        raise NotSignedIn(
            "what comes through a proxy must sign in.",
            hint="Send a token: Authorization: Bearer orc_...",
        )


def program_of(peer: Peer) -> str:
    """Return the name of a peer's program, cut by the kernel to 15 characters; "" if it cannot be read."""
    with suppress(OSError):
        return Path(f"/proc/{peer.pid}/comm").read_text(errors="replace").strip()
    return ""
