"""Sending to a real SMTP server, and the errors."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from orchestra.domain.errors import MailDelayed, MailRefused
from orchestra.mail.message import Envelope, build
from orchestra.mail.page import Page, Paragraph
from orchestra.mail.smtp import Smtp
from orchestra.mail.transport import Sent
from support import mailserver
from support.mailserver import PASSWORD, USER, Certificates, MailServer, running


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return mailserver.certificates(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusted(lab: Certificates, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.ca))
    return lab


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A transport without encryption."""
    with running(MailServer()) as one:
        yield one


def plain(server: MailServer, timeout: float = 5) -> Smtp:
    return Smtp("localhost", server.port, "none", timeout=timeout)


def message(to: str = "ana@example.org", *copy_to: str) -> EmailMessage:
    page = Page("dönner: done", (Paragraph("All 36 jobs are done."),))
    now = datetime.now(UTC)
    return build([page], Envelope("lab@example.org", to, "ana", "<1@orchestra-hpc>", now, copy_to))


def test_a_message_arrives_by_starttls_with_a_login(trusted: Certificates) -> None:
    server = MailServer()
    with running(server, starttls=trusted.context, login=True):
        transport = Smtp("localhost", server.port, "starttls", USER, PASSWORD, timeout=5)
        assert transport.check() == f"localhost:{server.port} answers, login as {USER}"
        sent = transport.send(message("ana@example.org", "boss@example.org"))
        assert str(sent) == f"localhost:{server.port}"
    ((sender, to, found),) = server.received
    assert (sender, to) == ("lab@example.org", ["ana@example.org", "boss@example.org"])
    assert found["Subject"] == "[Orchestra] dönner: done"
    assert found["Message-ID"] == "<1@orchestra-hpc>"
    assert found["Auto-Submitted"] == "auto-generated"
    text, html = (found.get_body((kind,)) for kind in ("plain", "html"))
    assert text
    assert html
    assert "All 36 jobs are done." in text.get_content()
    assert "<p>All 36 jobs are done.</p>" in html.get_content()
    assert server.logins == [True, True]


def test_a_message_arrives_by_tls(trusted: Certificates) -> None:
    with running(MailServer(), tls=trusted.context) as server:
        Smtp("localhost", server.port, "tls", timeout=5).send(message())
        assert len(server.messages) == 1


def test_wrong_password_is_reported_without_showing_it(trusted: Certificates) -> None:
    with running(MailServer(), starttls=trusted.context, login=True) as server:
        transport = Smtp("localhost", server.port, "starttls", USER, "a secret of mine", timeout=5)
        with pytest.raises(MailDelayed, match=f"refused the login of {USER}: 535") as caught:
            transport.send(message())
        assert caught.value.about_server
        assert "password" in (caught.value.hint or "")
        assert "a secret of mine" not in f"{caught.value}{caught.value.hint}{transport!r}"
        assert server.received == []


def test_gmail_requires_an_app_password() -> None:
    import smtplib

    transport = Smtp("smtp.gmail.com", 587, "starttls", "ana@gmail.com", "x")
    error = smtplib.SMTPAuthenticationError(535, b"5.7.8 Username and Password not accepted")
    assert "apppasswords" in (transport._wrong_password(error).hint or "")


def test_untrusted_certificate(lab: Certificates) -> None:
    with (
        running(MailServer(), starttls=lab.context) as server,
        pytest.raises(MailDelayed, match="its certificate is not trusted") as caught,
    ):
        Smtp("localhost", server.port, "starttls", timeout=5).send(message())
    assert "SSL_CERT_FILE" in (caught.value.hint or "")


def test_a_server_without_encryption(server: MailServer) -> None:
    with pytest.raises(MailDelayed, match="does not offer STARTTLS"):
        Smtp("localhost", server.port, "starttls", timeout=5).send(message())
    with pytest.raises(MailDelayed, match="the TLS negotiation failed"):
        Smtp("localhost", server.port, "tls", timeout=5).send(message())


def test_password_is_not_sent_unencrypted() -> None:
    with pytest.raises(MailDelayed, match="unencrypted"):
        Smtp("mail.example.org", 25, "none", USER, PASSWORD).send(message())


def test_server_without_logins(server: MailServer) -> None:
    with pytest.raises(MailDelayed, match="does not accept a login with a password"):
        Smtp("localhost", server.port, "none", USER, PASSWORD, timeout=5).send(message())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("451 4.3.0 greylisted, try again later", MailDelayed),
        ("550 5.1.1 no such user here", MailRefused),
    ],
)
def test_answers_about_a_recipient_or_a_message(
    server: MailServer, answer: str, kind: type[MailDelayed | MailRefused]
) -> None:
    server.rcpt_answers["ana@example.org"] = answer
    with pytest.raises(kind, match=answer[:3]) as caught:
        plain(server).send(message())
    if isinstance(caught.value, MailDelayed):
        assert (caught.value.perhaps_sent, caught.value.about_server) == (False, False)
    server.rcpt_answers.clear()
    server.data_answer = answer
    with pytest.raises(kind, match=answer[4:10]):
        plain(server).send(message())


def test_refused_sender_is_an_error_of_the_configuration(server: MailServer) -> None:
    server.mail_answer = "530 5.7.0 Authentication required"
    with pytest.raises(
        MailDelayed, match=r"does not accept mail from lab@example\.org: 530"
    ) as caught:
        plain(server).send(message())
    assert caught.value.about_server
    assert "from_email" in (caught.value.hint or "")


def test_accepted_copy_does_not_hide_a_refused_recipient(server: MailServer) -> None:
    server.rcpt_answers["ana@example.org"] = "550 no such user"
    with pytest.raises(MailRefused, match=r"for ana@example\.org: 550"):
        plain(server).send(message("ana@example.org", "boss@example.org"))


def test_refused_copies_are_named(server: MailServer) -> None:
    transport, readers = plain(server), ("ana@example.org", "ben@example.org", "cleo@example.org")
    assert transport.send(message(*readers)) == Sent(transport.where)
    assert server.received[0][1] == list(readers)
    assert transport.check("lab@example.org", readers[1:]) == f"{transport.where} answers"
    server.rcpt_answers["cleo@example.org"] = "501 bad address"
    said = f"{transport.where}, but not to cleo@example.org: 501 bad address"
    assert str(transport.send(message(*readers))) == said
    assert server.received[1][1] == list(readers[:2])
    with pytest.raises(MailDelayed, match=f"^mail can be sent by {said}$"):
        transport.check("lab@example.org", readers[1:])
    server.mail_answer = "530 5.7.0 Authentication required"
    with pytest.raises(MailDelayed, match="does not accept mail from"):
        transport.check("lab@example.org", readers[1:])
    assert len(server.received) == 2


def test_timeout_means_perhaps_sent(server: MailServer) -> None:
    server.slow = threading.Event()
    with pytest.raises(MailDelayed, match="does not answer") as caught:
        plain(server, timeout=2).send(message())
    assert caught.value.perhaps_sent


def test_server_that_does_not_listen_or_answer() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(MailDelayed, match="nothing listens there") as caught:
            Smtp("127.0.0.1", port, "none", timeout=5).check()
        assert not caught.value.perhaps_sent
        probe.listen()
        with pytest.raises(MailDelayed, match="does not answer"):
            Smtp("127.0.0.1", port, "none", timeout=0.5).check()
    with pytest.raises(MailDelayed, match="no such host"):
        Smtp("mail.invalid", 25, "none", timeout=5).check()
    with pytest.raises(MailDelayed, match="no such host"):
        Smtp("a..b", 25, "none", timeout=5).check()


@pytest.mark.parametrize("address", ["ana", "ana@", "@example.org", "a\nb@example.org"])
def test_invalid_address(address: str) -> None:
    with pytest.raises(MailRefused, match="is not an e-mail address"):
        message(to=address)


def test_invalid_configured_address_delays_mail() -> None:
    page, now = Page("x", (Paragraph("x"),)), datetime.now(UTC)
    with pytest.raises(MailDelayed, match='"lab" is not an e-mail address') as caught:
        build([page], Envelope("lab", "ana@example.org", "ana", "<1@x>", now))
    assert '"from_email"' in (caught.value.hint or "")
    with pytest.raises(MailDelayed, match='"boss" is not an e-mail address'):
        build(
            [page], Envelope("lab@example.org", "ana@example.org", "ana", "<1@x>", now, ("boss",))
        )


def test_subject_cannot_contain_a_header() -> None:
    page = Page("x\nBcc: all@example.org", (Paragraph("x"),))
    envelope = Envelope("lab@example.org", "a@b.org", "ana", "<1@x>", datetime.now(UTC))
    found = build([page], envelope)
    assert "\n" not in found["Subject"]
    assert found["Bcc"] is None


def test_without_a_server_a_mail_is_a_file(hostile_dir: Path) -> None:
    from orchestra.mail.folder import Folder

    transport = Folder(hostile_dir / "mail")
    assert str(hostile_dir) in transport.check()
    sent = transport.send(message())
    assert sent.is_file
    path = Path(sent.where)
    assert transport.send(message()) == sent
    assert path.is_relative_to(hostile_dir)
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.stat().st_mode & 0o077 == 0
    assert "All 36 jobs are done." in path.read_text()
    (hostile_dir / "file").write_text("")
    with pytest.raises(MailDelayed, match="cannot be written to"):
        Folder(hostile_dir / "file").send(message())


def test_test_mail_fails_if_a_copy_is_refused(server: MailServer) -> None:
    from orchestra.mail.settings import MailSettings
    from orchestra.wiring.mail import send_test_mail

    said: list[str] = []
    transport, copies = plain(server), ("ben@example.org", "cleo@example.org")
    settings = MailSettings(transport, "lab@example.org", copies)
    send_test_mail(settings, "ana@example.org", "ana", say=said.append)
    readers = "ana@example.org, ben@example.org and cleo@example.org"
    assert said == [f"{transport.where} accepted a mail from lab@example.org to {readers}"]
    server.rcpt_answers["cleo@example.org"] = "501 bad address"
    with pytest.raises(
        MailRefused, match=r"but not to cleo@example\.org: 501 bad address"
    ) as caught:
        send_test_mail(settings, "ana@example.org", "ana", say=said.append)
    assert "to_email" in (caught.value.hint or "")
