"""The network of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

from orchestra.store.postgres.sharing import has_address

_ROUTES = Path("/proc/net/route")


class ThisMachine:
    """The network of this machine, as `domain/sharing.py` asks for it."""

    @property
    def routes(self) -> str:
        """The IPv4 routes; "" where the system does not show them."""
        try:
            return _ROUTES.read_text(encoding="ascii")
        except OSError:
            return ""

    def is_own(self, address: str) -> bool:
        """Whether this machine has the address."""
        return has_address(address)

    def source(self, target: str) -> str | None:
        """The address from which this machine would send to another. Nothing is sent."""
        try:
            with socket.socket(_family(target), socket.SOCK_DGRAM) as there:
                there.connect((target, 9))
                return str(there.getsockname()[0])
        except OSError:
            return None

    def resolve(self, name: str) -> list[str]:
        """The addresses of a host name, IPv4 first."""
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        addresses = [str(address[0]).partition("%")[0] for *_, address in found]
        return sorted(dict.fromkeys(addresses), key=lambda address: ":" in address)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
