"""A connection to a server, over TCP, TLS or a Unix socket, and the sentences about what goes wrong with it."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from orchestra.domain.errors import ConfigurationError, ServerUnavailable
from orchestra.domain.human import one_line

API = "/api/v1"
API_HEADER = "Orchestra-Api"
"""The header by which a server's answers are told from those of anything else, with its version of the API."""
API_VERSION = "1"
SOCKET = "unix:"

CONNECT_WITHIN = 10.0
ANSWER_WITHIN = 120.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the status, the media type, whether a server of Orchestra sent it, and the body."""

    status: int
    reason: str
    kind: str
    api: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: a URL, or the path of a socket."""

    url: SplitResult | None = None
    socket: str | None = None

    @property
    def prefix(self) -> str:
        """The path below which a proxy offers the server."""
        return self.url.path.rstrip("/") if self.url else ""

    def __str__(self) -> str:
        if self.url is None:
            return str(self.socket)
        return f"{self.url.scheme}://{self.url.netloc.rpartition('@')[2]}{self.prefix}"


def parse_address(text: str, origin: str) -> Address:
    """Return the address that a configuration says.

    Raises:
        ConfigurationError: it is none.
    """
    if text.startswith(SOCKET):
        return Address(socket=text.removeprefix(SOCKET))
    url = _url(text)
    if url is None:
        raise ConfigurationError(
            f'"server" in {origin} is not the address of a server.',
            hint="It looks like https://orchestra.example.org, http://127.0.0.1:8765 or unix:/path/of/socket.",
        )
    return Address(url=url)


def _url(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
        known = url.scheme in ("http", "https") and url.hostname and (url.port or 1) > 0
    except ValueError:
        return None
    return url if known and not (url.query or url.fragment or url.username is not None) else None


class Link:
    """A connection that is made at first need, and again when it was lost."""

    def __init__(
        self,
        address: Address,
        token: str | None,
        *,
        connect_within: float = CONNECT_WITHIN,
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        self.address = address
        self._token = token
        self._connect_within, self._answer_within = connect_within, answer_within
        self._conn: http.client.HTTPConnection | None = None

    def exchange(
        self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        """Send a request and return what came back.

        Raises:
            ServerUnavailable: nothing did; with the parameter `lost`, the request may have been carried out.
        """
        conn = self._conn or self._connect()
        try:
            conn.request(method, self.address.prefix + target, body, self._headers(body, headers))
            answer = conn.getresponse()
            reply = Reply(
                answer.status,
                answer.reason,
                answer.getheader("Content-Type", ""),
                answer.getheader(API_HEADER),
                answer.read(),
            )
        except TimeoutError:
            self.close()
            raise ServerUnavailable(
                f"the server at {self.address} has not answered for {self._answer_within:.0f} s.",
                hint="Running jobs are not affected.",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ServerUnavailable(
                f"the connection to the server at {self.address} was lost: {_reason(error)}.",
                hint="Running jobs are not affected.",
                lost=True,
            ) from None
        if reply.api is None:
            raise self.stranger(reply)
        self._check_version(reply)
        return reply

    def stranger(self, reply: Reply) -> ServerUnavailable:
        """Return the error for an answer that is not from a server of Orchestra."""
        self.close()
        said = f"{reply.status} {one_line(reply.reason)}".rstrip()
        if reply.status in (502, 503, 504):
            return ServerUnavailable(
                f"the proxy at {self.address} does not reach the Orchestra server: {said}.",
                hint="Is the server running there? Running jobs are not affected.",
            )
        return ServerUnavailable(
            f"what answers at {self.address} is not an Orchestra server: {said}.",
            hint='Check "server" in your configuration.',
        )

    def close(self) -> None:
        """Close the connection; the next request makes another one."""
        if self._conn is not None:
            self._conn.close()
        self._conn = None

    def _headers(self, body: bytes | None, more: Mapping[str, str]) -> dict[str, str]:
        headers = {"Accept": "application/json", **more}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _connect(self) -> http.client.HTTPConnection:
        conn = self._made()
        try:
            conn.connect()
        except OSError as error:
            raise ServerUnavailable(
                f"there is no server at {self.address}: {_reason(error)}.",
                hint='Check "server" in your configuration. Running jobs are not affected.',
            ) from None
        conn.sock.settimeout(self._answer_within)
        self._conn = conn
        return conn

    def _made(self) -> http.client.HTTPConnection:
        url = self.address.url
        if url is None:
            assert self.address.socket is not None
            return _SocketConnection(self.address.socket, self._connect_within)
        assert url.hostname is not None
        if url.scheme == "https":
            return http.client.HTTPSConnection(url.hostname, url.port, timeout=self._connect_within)
        return http.client.HTTPConnection(url.hostname, url.port, timeout=self._connect_within)

    def _check_version(self, reply: Reply) -> None:
        if reply.api != API_VERSION:
            raise ServerUnavailable(
                f"the server at {self.address} speaks version {one_line(reply.api or '')} of the API, and this "
                f"program version {API_VERSION}.",
                hint="Upgrade the older of the two.",
            )


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return one_line(text).rstrip(".")
