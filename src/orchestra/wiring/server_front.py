"""How a server is reached: with TLS of its own, behind a proxy, or from this machine alone."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from orchestra.domain.errors import BadInput, Refused


@dataclass(frozen=True, slots=True)
class Front:
    """What lies between a server and its users.

    Args:
        tls_cert, tls_key: files with the certificate, with those that prove it, and its key.
        behind: the address, or network, of a proxy whose X-Forwarded-For and -Proto are believed.
        root_path: the prefix below which that proxy offers the server.
        access_log: whether each request is noted on stderr.
    """

    tls_cert: str | None = None
    tls_key: str | None = None
    behind: str | None = None
    root_path: str = ""
    access_log: bool = False

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    def check(self, host: str) -> None:
        """Check that a server may listen at this address.

        Raises:
            BadInput: an option is wrong.
            Refused: passwords and tokens would cross the network in clear.
        """
        if bool(self.tls_cert) != bool(self.tls_key):
            raise BadInput("--tls-cert and --tls-key belong together.")
        if self.tls_cert:
            _check_certificate(self.tls_cert, str(self.tls_key))
        if self.behind is not None:
            _check_proxy(self.behind)
        if self.root_path and not re.fullmatch(r"(/[\w.~-]+)+", self.root_path, re.ASCII):
            raise BadInput(
                f'"{self.root_path}" is no prefix of a path.', hint="For example: /orchestra"
            )
        if not (_is_loopback(host) or self.tls_cert or self.behind):
            raise Refused(
                f"at {host}, tokens would cross the network unencrypted.",
                hint="Add --tls-cert and --tls-key, or, if a proxy there encrypts, --behind with its address.",
            )

    def options(self) -> Mapping[str, Any]:
        """Return the options of uvicorn."""
        return {
            "ssl_certfile": self.tls_cert,
            "ssl_keyfile": self.tls_key,
            # Of nobody else: uvicorn would believe everybody on the loopback.
            "proxy_headers": self.behind is not None,
            "forwarded_allow_ips": [self.behind] if self.behind else [],
        }


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_proxy(address: str) -> None:
    try:
        ip_network(address)
    except ValueError:
        raise BadInput(
            f'"{address}" is not the address of a proxy.', hint="For example: --behind 127.0.0.1"
        ) from None


def _check_certificate(cert: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError:
        raise BadInput(
            f"{cert} and {key} are not a certificate and its key.",
            hint="Both are PEM files, and the key has no password.",
        ) from None
    except OSError as error:
        raise BadInput(f"{cert} or {key} cannot be read: {error.strerror}.") from None
