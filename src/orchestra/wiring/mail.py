"""How mail is sent from this configuration: by a server, or as files in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.domain.errors import ConfigurationError, MailRefused
from orchestra.wiring import Say
from orchestra.wiring.folders import mail_folder
from orchestra.wiring.identity import host_name

if TYPE_CHECKING:
    from orchestra.config import Settings
    from orchestra.mail.settings import MailSettings
    from orchestra.mail.transport import Transport

_DEFAULT_HOST = "smtp.gmail.com"


def mail_settings(settings: Settings) -> MailSettings:
    """Return all that the conductor needs to send mail.

    Raises:
        ConfigurationError: the mail server is configured incompletely.
    """
    from orchestra.mail.channels import Channels
    from orchestra.mail.settings import MailSettings

    login = settings.smtp_user if settings.smtp_user and "@" in settings.smtp_user else None
    return MailSettings(
        transport=_mail_transport(settings),
        sender=settings.from_email or settings.email or login or f"orchestra@{host_name()}",
        copy_to=settings.to_email,
        channels=Channels(settings.notify_urls) if settings.notify_urls else None,
    )


def _mail_transport(settings: Settings) -> Transport:
    if settings.smtp_host is None and not settings.password:
        from orchestra.mail.folder import Folder

        return Folder(mail_folder(settings))
    from orchestra.mail.smtp import PORTS, Smtp

    user = settings.smtp_user or settings.email
    if settings.password and not user:
        raise ConfigurationError(
            f'"password" is set in {settings.origin("password")}, and neither "email" nor "smtp_user" says whose.'
        )
    return Smtp(
        host=settings.smtp_host or _DEFAULT_HOST,
        port=settings.smtp_port or PORTS[settings.smtp_tls],
        tls=settings.smtp_tls,
        user=user,
        password=settings.password,
    )


def send_test_mail(mail: MailSettings, address: str, user: str, *, say: Say) -> None:
    """Send a test mail, also to the channels, and say where it went.

    Raises:
        MailDelayed, MailRefused: it was not sent, or not to everybody; the sentence says why, the hint what to do.
    """
    from datetime import UTC, datetime
    from uuid import uuid4

    from orchestra.domain.human import listed
    from orchestra.mail import message, page

    test_page = page.Page(
        "mail works", (page.Paragraph(f"This is a test from {host_name()}: mail arrives."),)
    )
    envelope = message.Envelope(
        sender=mail.sender,
        to=address,
        user=user,
        message_id=f"<{uuid4()}@orchestra-hpc>",
        date=datetime.now(UTC),
        copy_to=mail.copy_to,
    )
    sent = mail.transport.send(message.build([test_page], envelope))
    if sent.missed:
        raise MailRefused(
            f"a mail from {mail.sender} to {address} was accepted by {sent}",
            hint='Check "to_email" in the configuration.',
        )
    if sent.is_file:
        say(f"no mail server is configured, so the mail to {address} is a file: {sent}")
    else:
        readers = listed(list(dict.fromkeys([address, *mail.copy_to])))
        say(f"{sent} accepted a mail from {mail.sender} to {readers}")
    if mail.channels:
        mail.channels.post("[Orchestra] mail works", page.as_text([test_page]))
        say(f"also sent to {mail.channels.where}")
