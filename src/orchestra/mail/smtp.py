"""Sends mail by SMTP. Every error is one sentence with a hint on how to fix it."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import getaddresses

from orchestra.domain.errors import MailDelayed, MailRefused, MailTooLarge, OrchestraError
from orchestra.domain.human import one_line
from orchestra.domain.human import size as human_size
from orchestra.mail.transport import Sent

PORTS: dict[str, int] = {"starttls": 587, "tls": 465, "none": 25}
TIMEOUT = 20.0
"""Seconds that the server has for each answer."""
_OK, _ACCEPTED = 250, (250, 251)
"""Answers: success; a recipient is accepted."""
_TOO_LARGE = 552
"""The answer to a message that is too large, before or after it was sent (RFC 1870)."""


@dataclass(frozen=True, slots=True)
class Smtp:
    """A mail server and an account on it. `tls` is starttls, tls or none."""

    host: str
    port: int
    tls: str = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT
    needs_real_address = True

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"

    def send(self, message: EmailMessage) -> Sent:
        """Send a message; the result names the copies that the server refused."""
        to = [address for _, address in getaddresses([str(message["To"])])]
        copies = [address for _, address in getaddresses([str(message["Cc"] or "")]) if address]
        with self._session() as session:
            self._check_size(session, message)
            try:
                refused = session.send_message(message, to_addrs=[*to, *copies])
            except smtplib.SMTPSenderRefused as error:
                if error.smtp_code == _TOO_LARGE:
                    raise self._too_large(message) from None
                raise self._no_sender(error) from None
            except smtplib.SMTPResponseException as error:
                if error.smtp_code == _TOO_LARGE:
                    raise self._too_large(message) from None
                raise self._answered(error.smtp_code, _words(error.smtp_error)) from None
            except smtplib.SMTPRecipientsRefused as error:
                raise self._no_recipient(error.recipients, to[0]) from None
            except smtplib.SMTPNotSupportedError:
                raise MailRefused(
                    f"{self.where} does not support addresses that are not ASCII, such as {one_line(to[0])}."
                ) from None
            except (OSError, smtplib.SMTPException) as error:
                # The server may have accepted the message before the connection broke.
                delayed = self._unreachable(error)
                delayed.perhaps_sent = True
                raise delayed from None
        if to[0] in refused:  # even if a copy was accepted
            raise self._no_recipient(refused, to[0])
        return self._sent(refused)

    def _check_size(self, session: smtplib.SMTP, message: EmailMessage) -> None:
        """Check the limit that the server announces, if it does (RFC 1870)."""
        limit = session.esmtp_features.get("size", "")
        if limit.isdigit() and 0 < int(limit) < len(bytes(message)):
            raise self._too_large(message)

    def _too_large(self, message: EmailMessage) -> MailTooLarge:
        return MailTooLarge(
            f"{self.where} does not accept a message of {human_size(len(bytes(message)))}."
        )

    def _sent(self, refused: Mapping[str, tuple[int, bytes]]) -> Sent:
        missed = (
            f"not to {one_line(address)}: {code} {self._safe(_words(answer))}"
            for address, (code, answer) in refused.items()
        )
        return Sent(self.where, missed=tuple(missed))

    def check(self, sender: str = "", copies: Sequence[str] = ()) -> str:
        with self._session() as session:
            if copies:
                self._check_copies(session, sender, copies)
            login = f", login as {self.user}" if self.password else ""
            return f"{self.where} answers{login}"

    def _check_copies(self, session: smtplib.SMTP, sender: str, copies: Sequence[str]) -> None:
        """Check whether the server accepts these recipients, as far as it decides that before the message."""
        try:
            code, answer = session.mail(sender)
            if code != _OK:
                raise self._no_sender(smtplib.SMTPSenderRefused(code, answer, sender))
            answers = [(address, *session.rcpt(address)) for address in copies]
            session.rset()
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise self._unreachable(error) from None
        if refused := {a: (code, answer) for a, code, answer in answers if code not in _ACCEPTED}:
            raise MailDelayed(
                f"mail can be sent by {self._sent(refused)}",
                hint='Check "to_email" in the configuration.',
            )

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """Open a session that is ready for a message."""
        if self.password and self.tls == "none" and not _is_here(self.host):
            raise MailDelayed(
                f'the password would go to {self.where} unencrypted, because "smtp_tls" is "none".',
                hint='Set "smtp_tls" to "starttls" or "tls", or remove "password".',
            )
        session = self._connect()
        try:
            self._log_in(session)
            yield session
        except BaseException:
            session.close()  # without QUIT: a server that has not answered may not answer that either
            raise
        _quit(session)

    def _connect(self) -> smtplib.SMTP:
        try:
            if self.tls == "tls":
                return smtplib.SMTP_SSL(
                    self.host,
                    self.port,
                    _own_name(),
                    timeout=self.timeout,
                    context=ssl.create_default_context(),
                )
            session = smtplib.SMTP(self.host, self.port, _own_name(), timeout=self.timeout)
        except smtplib.SMTPResponseException as error:
            raise self._busy(error.smtp_code, _words(error.smtp_error)) from None
        except (OSError, smtplib.SMTPException, UnicodeError) as error:
            raise self._unreachable(error) from None
        if self.tls == "starttls":
            self._start_tls(session)
        return session

    def _start_tls(self, session: smtplib.SMTP) -> None:
        try:
            session.starttls(context=ssl.create_default_context())
            return
        except smtplib.SMTPNotSupportedError:
            failure = MailDelayed(
                f"{self.where} does not offer STARTTLS.",
                hint='Try "smtp_tls": "tls" (port 465); "none" only if you trust the network to the server.',
            )
        except smtplib.SMTPResponseException as error:
            failure = self._busy(error.smtp_code, _words(error.smtp_error))
        except (OSError, smtplib.SMTPException) as error:
            failure = self._unreachable(error)
        session.close()
        raise failure

    def _log_in(self, session: smtplib.SMTP) -> None:
        try:
            session.ehlo_or_helo_if_needed()
            if self.password:
                session.login(self.user or "", self.password)
        except smtplib.SMTPAuthenticationError as error:
            raise self._wrong_password(error) from None
        except smtplib.SMTPResponseException as error:
            raise self._busy(error.smtp_code, _words(error.smtp_error)) from None
        except smtplib.SMTPServerDisconnected as error:
            raise self._unreachable(error) from None
        except smtplib.SMTPException:
            raise MailDelayed(
                f"{self.where} does not accept a login with a password.",
                hint='Remove "password" if it is not needed, or ask the server\'s admin for another port.',
            ) from None
        except UnicodeError:  # its text contains the password
            raise MailDelayed(
                f"the user name and password for {self.where} must be ASCII.",
                hint='Check "email" or "smtp_user", and "password", in the configuration.',
            ) from None
        except OSError as error:
            raise self._unreachable(error) from None

    # Errors in words

    def _wrong_password(self, error: smtplib.SMTPAuthenticationError) -> MailDelayed:
        answer = self._safe(_words(error.smtp_error))
        hint = 'Check "email" or "smtp_user", and "password", in the configuration.'
        if self.host.endswith(("gmail.com", "google.com")):
            hint += (
                "\nGoogle requires an app password: https://myaccount.google.com/apppasswords (needs 2-step "
                "verification)."
            )
        return MailDelayed(
            f"{self.where} refused the login of {self.user}: {error.smtp_code} {answer}", hint=hint
        )

    def _no_sender(self, error: smtplib.SMTPSenderRefused) -> MailDelayed:
        """Return a delay, not a refusal: the configuration is wrong, not the mail."""
        answer = self._safe(_words(error.smtp_error))
        return MailDelayed(
            f"{self.where} does not accept mail from {one_line(error.sender)}: {error.smtp_code} {answer}",
            hint='Check "from_email" or "email" in the configuration, and "password" if it requires a login.',
        )

    def _no_recipient(
        self, recipients: dict[str, tuple[int, bytes]], recipient: str
    ) -> OrchestraError:
        code, answer = recipients.get(recipient) or next(iter(recipients.values()))
        return self._answered(code, _words(answer), f" for {one_line(recipient)}")

    def _answered(self, code: int, answer: str, about: str = "") -> OrchestraError:
        sentence = f"{self.where} answered{about}: {code} {self._safe(answer)}"
        if 500 <= code < 600:
            return MailRefused(sentence, hint="Check the address: maestro user list")
        delayed = MailDelayed(sentence, hint="It is retried automatically.")
        delayed.about_server = False
        return delayed

    def _busy(self, code: int, answer: str) -> MailDelayed:
        """Return a delay, not a refusal: the server rejects the session, not the mail, even with a code of 5xx."""
        return MailDelayed(
            f"{self.where} does not accept mail now: {code} {self._safe(answer)}",
            hint='Check "smtp_host", "smtp_port" and "smtp_tls" if this persists.',
        )

    def _unreachable(self, error: Exception) -> MailDelayed:
        what, hint = _why_unreachable(error, self.tls)
        return MailDelayed(f"{self.where} cannot be used: {self._safe(what)}", hint=hint)

    def _safe(self, text: str) -> str:
        """Return text from the server as one line without the password."""
        if self.password:
            text = text.replace(self.password, "***")
        return one_line(text, 300)


_CHECK_ADDRESS = 'Check "smtp_host" and "smtp_port" in the configuration.'


def _why_unreachable(error: Exception, tls: str) -> tuple[str, str]:
    if isinstance(error, smtplib.SMTPServerDisconnected) and isinstance(error.__context__, OSError):
        error = error.__context__  # smtplib hides the original error
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"its certificate is not trusted ({error.verify_message}).",
                "If it is your lab's own, set SSL_CERT_FILE=/path/to/ca.pem in the environment.",
            )
        case ssl.SSLError():
            other = "starttls" if tls == "tls" else "tls"
            return (
                f"the TLS negotiation failed ({error.reason or 'TLS'}).",
                f'Try "smtp_tls": "{other}" with the port that belongs to it (587 for starttls, 465 for tls).',
            )
        case socket.gaierror() | UnicodeError():
            return "no such host.", _CHECK_ADDRESS
        case TimeoutError():
            return "it does not answer.", f"{_CHECK_ADDRESS} A firewall may be in the way."
        case ConnectionRefusedError():
            return "nothing listens there.", _CHECK_ADDRESS
        case smtplib.SMTPServerDisconnected():
            other = "starttls" if tls == "tls" else "tls"
            return (
                "it closed the connection unexpectedly.",
                f'If this persists, try "smtp_tls": "{other}".',
            )
        case OSError() if error.strerror:
            return f"{error.strerror[:1].lower()}{error.strerror[1:]}.", _CHECK_ADDRESS
        case _:
            return f"{error}", _CHECK_ADDRESS


def _words(answer: bytes | str) -> str:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return " ".join(text.split())


def _own_name() -> str | None:
    """Return the name for EHLO; None for the default, this host's name, if that is valid in SMTP."""
    usable = re.fullmatch(r"[A-Za-z0-9.-]+", socket.gethostname())
    return None if usable else "[127.0.0.1]"


def _is_here(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")


def _quit(session: smtplib.SMTP) -> None:
    try:
        session.quit()
    except (OSError, smtplib.SMTPException):
        session.close()
