"""A real SMTP server on this machine, with TLS and logins, and with errors on request."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from support.server import free_port

USER, PASSWORD = "orchestra@example.org", "wheel barrow"


@dataclass
class MailServer:
    """The received messages, and the answers to recipients and messages."""

    rcpt_answers: dict[str, str] = field(default_factory=dict)
    data_answer: str = "250 OK"
    size_limit: int | None = None
    """If given, larger messages are refused before they are sent."""
    mail_answer: str = "250 OK"
    received: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    logins: list[bool] = field(default_factory=list)
    slow: threading.Event | None = None
    """If given, a message is not answered until this event is set."""
    arrived: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    host: str = "localhost"

    @property
    def messages(self) -> list[EmailMessage]:
        return [message for _, _, message in self.received]

    @property
    def subjects(self) -> list[str]:
        return [str(message["Subject"]) for message in self.messages]

    # Called by aiosmtpd

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, _session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        size = next((int(each[5:]) for each in options if each.upper().startswith("SIZE=")), 0)
        if self.size_limit is not None and size > self.size_limit:
            return "552 5.3.4 Error: message too big for system"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.mail_answer

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self.rcpt_answers.get(address, "250 OK")
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.data_answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            message = message_from_bytes(content.replace(b"\r\n", b"\n"), policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.received.append((envelope.mail_from or "", list(envelope.rcpt_tos), message))
        self.arrived.set()
        while self.slow and not self.slow.is_set():
            await asyncio.sleep(0.02)
        return self.data_answer

    def authenticate(
        self, _server: Any, _session: Any, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        right = (
            isinstance(data, LoginPassword)
            and data.login == USER.encode()
            and data.password == PASSWORD.encode()
        )
        self.logins.append(right)
        return AuthResult(success=right, handled=False)


@dataclass(frozen=True)
class Certificates:
    """A lab's own authority: `ca` is its file, `context` is for a server on localhost."""

    ca: Path
    context: ssl.SSLContext


def certificates(folder: Path) -> Certificates:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    ca = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    return Certificates(ca, context)


@contextmanager
def running(
    server: MailServer,
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    login: bool = False,
) -> Iterator[MailServer]:
    """Serve on a free port, or on the one that the server had before."""
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port or free_port(),
        ready_timeout=20,
        ssl_context=tls,
        tls_context=starttls,
        require_starttls=starttls is not None,
        auth_required=login,
        auth_require_tls=starttls is not None,
        authenticator=server.authenticate if login else None,
        auth_exclude_mechanism=None if login else ["LOGIN", "PLAIN"],
    )
    controller.start()
    server.port = controller.port
    try:
        yield server
    finally:
        if server.slow:
            server.slow.set()
        controller.stop()
