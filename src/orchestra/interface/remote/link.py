"""A connection to a server, over TCP, TLS or a Unix socket, and the sentences about what goes wrong with it."""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from orchestra.domain import human
from orchestra.domain.errors import ConfigurationError, NotSignedIn, ServerUnavailable
from orchestra.domain.human import one_line
from orchestra.domain.wording import Action, words

API = "/api/v1"
API_HEADER = "Orchestra-Api"
"""The header by which a server's answers are told from those of anything else, with its version of the API."""
API_VERSION = "1"
SOCKET = "unix:"

CONNECT_WITHIN = 10.0
ANSWER_WITHIN = 120.0
UNAFFECTED = "Running jobs are not affected."
CHECK = 'Check "server" in your configuration.'

_NOT_HTTP = (
    http.client.BadStatusLine,
    http.client.LineTooLong,
    http.client.UnknownProtocol,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back from a server of Orchestra: the status, the media type, and the body."""

    status: int
    kind: str
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
    if text.startswith(f"{SOCKET}/"):
        return Address(socket=text.removeprefix(SOCKET))
    url = _url(text)
    if url is None:
        raise ConfigurationError(
            f'"server" in {origin} is not the address of a server.',
            hint="It looks like https://orchestra.example.org, http://127.0.0.1:8765 or unix:/path/of/socket.",
        )
    return Address(url=url)


def _url(text: str) -> SplitResult | None:
    if not text.isprintable() or " " in text:
        return None
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
            self._send(conn, method, self.address.prefix + target, body, headers)
            answer = conn.getresponse()
            self._check_server(answer, len(body or b""))
            return Reply(answer.status, answer.getheader("Content-Type", ""), answer.read())
        except BaseException as error:
            self.close()  # whatever is left of the answer belongs to this request
            if isinstance(error, (OSError, http.client.HTTPException)):
                raise self._failed(error) from None
            raise

    def unreadable(self, why: object) -> ServerUnavailable:
        """Return the error for an answer of a server that this program cannot read."""
        return ServerUnavailable(
            f"the server at {self.address} sent an answer that cannot be read: {why}",
            hint="If it is of another version, upgrade the older of the two.",
        )

    def not_signed_in(self, said: NotSignedIn) -> NotSignedIn:
        """Return the error for a server that does not know who asks, with what it said where a token was sent."""
        if self._token:
            return said
        return NotSignedIn(
            f'the server at {self.address} needs to know who you are, and the configuration has no "token".',
            hint=words(
                Action.MAKE_TOKEN,
                ", where the server knows you already, prints one. Its socket, on its machine, needs none.",
            ),
        )

    def close(self) -> None:
        """Close the connection; the next request makes another one."""
        if self._conn is not None:
            self._conn.close()
        self._conn = None

    def _send(
        self,
        conn: http.client.HTTPConnection,
        method: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> None:
        try:
            conn.request(method, target, body, self._headers(body, headers))
        except (BrokenPipeError, ConnectionResetError):
            if not body:
                raise
            # A proxy that takes no body of this size answers before it has read it; if not, reading fails, too.

    def _failed(self, error: OSError | http.client.HTTPException) -> ServerUnavailable:
        if isinstance(error, TimeoutError):
            return ServerUnavailable(
                f"the server at {self.address} has not answered for {human.duration(self._answer_within)}.",
                hint=UNAFFECTED,
                unsure=True,
            )
        if isinstance(error, _NOT_HTTP) and not isinstance(error, ConnectionError):
            return ServerUnavailable(
                f"what answers at {self.address} is not an Orchestra server: it does not speak HTTP.",
                hint=CHECK,
            )
        return ServerUnavailable(
            f"the connection to the server at {self.address} was lost: {_reason(error)}.",
            hint=UNAFFECTED,
            lost=True,
            unsure=True,
        )

    def _check_server(self, answer: http.client.HTTPResponse, sent: int) -> None:
        """Check that a server of Orchestra has answered, of this version of the API.

        Raises:
            ServerUnavailable: it was something else.
        """
        version = answer.getheader(API_HEADER)
        if version == API_VERSION:
            return
        if version is not None:
            raise ServerUnavailable(
                f"the server at {self.address} speaks version {one_line(version)} of the API, and this program "
                f"version {API_VERSION}.",
                hint="Upgrade the older of the two.",
            )
        said = f"{answer.status} {one_line(answer.reason)}".rstrip()
        if answer.status in (502, 503, 504):
            raise ServerUnavailable(
                f"the proxy at {self.address} does not reach the Orchestra server: {said}.",
                hint=f"Is the server running there? {UNAFFECTED}",
                unsure=answer.status == 504,
            )
        if answer.status == 413:
            raise ServerUnavailable(
                f"the proxy at {self.address} takes no request of {human.size(sent)}: {said}.",
                hint="Raise its limit, in nginx client_max_body_size.",
            )
        if 300 <= answer.status < 400 and (place := answer.getheader("Location")):
            raise ServerUnavailable(
                f"{self.address} leads to another address, which is not followed: {one_line(place)}.",
                hint=f"If the server is there, name that address. {CHECK}",
            )
        raise ServerUnavailable(
            f"what answers at {self.address} is not an Orchestra server: {said}.", hint=CHECK
        )

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
            conn.close()
            raise self._not_there(error) from None
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

    def _not_there(self, error: OSError) -> ServerUnavailable:
        tls = sys.modules.get("ssl")
        if tls and isinstance(error, tls.SSLCertVerificationError):
            return ServerUnavailable(
                f"the certificate of {self.address} is not valid here: {one_line(error.verify_message).rstrip('.')}.",
                hint="SSL_CERT_FILE can name the certificate of your own authority.",
            )
        if tls and isinstance(error, tls.SSLError):
            return ServerUnavailable(
                f"what answers at {self.address} does not speak TLS as it should: {_reason(error)}.",
                hint=f"Is it an address that begins with http://? {CHECK}",
            )
        return ServerUnavailable(
            f"there is no server at {self.address}: {_reason(error)}.",
            hint=f"{CHECK} {UNAFFECTED}",
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
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended too early"
    if isinstance(error, TimeoutError):
        return "no answer"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return one_line(text).rstrip(".")
