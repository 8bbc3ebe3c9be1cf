"""Builds the message of one or several pages: headers, text and HTML. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from orchestra.domain.errors import MailDelayed, MailRefused
from orchestra.domain.human import one_line
from orchestra.mail.page import Page, as_html, as_text

_SIGNATURE = "Sent by Orchestra. To receive no more mail: maestro user set -n {user} --mail off"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Sender, recipient and identity of a message. `user` is the recipient's name in Orchestra."""

    sender: str
    to: str
    user: str
    message_id: str
    date: datetime
    copy_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """An HTML file to attach, in UTF-8."""

    name: str
    content: bytes


def subject_of(pages: Sequence[Page]) -> str:
    """Return the subject of a single notification, or of a digest."""
    if len(pages) == 1:
        return f"[Orchestra] {one_line(pages[0].subject, 150)}"
    return f"[Orchestra] {len(pages)} messages: {one_line(pages[0].subject, 100)}, ..."


def build(
    pages: Sequence[Page], envelope: Envelope, attachments: Sequence[Attachment] = ()
) -> EmailMessage:
    """Return a message with one notification, or with several as a digest.

    Raises:
        MailRefused: the recipient's address is invalid.
        MailDelayed: an address from the configuration is invalid, the sender's or that of a copy.
    """
    message = EmailMessage(policy=SMTP)
    message["Subject"] = subject_of(pages)
    message["From"] = _configured(envelope.sender, '"from_email" or "email"', "Orchestra")
    to = _address(envelope.to)
    if to is None:
        raise MailRefused(f'"{one_line(envelope.to)}" is not an e-mail address.')
    message["To"] = to
    if copies := [address for address in envelope.copy_to if address != envelope.to]:
        message["Cc"] = [_configured(address, '"to_email"') for address in copies]
    message["Date"] = format_datetime(envelope.date)
    message["Message-ID"] = envelope.message_id
    # Prevents automatic replies.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    signature = _SIGNATURE.format(user=envelope.user)
    text = f"{as_text(pages)}\n-- \n{signature}\n"
    # A line of SMTP has at most 998 characters. Without an encoding, the file is readable as it is.
    plain = text.isascii() and max(map(len, text.splitlines())) < 900
    message.set_content(text, cte="7bit" if plain else "quoted-printable")
    message.add_alternative(as_html(pages), subtype="html", cte="quoted-printable")
    for each in attachments:
        message.add_attachment(
            each.content, "text", "html", filename=each.name, params={"charset": "utf-8"}
        )
    return message


def _configured(text: str, key: str, name: str = "") -> Address:
    address = _address(text, name)
    if address is None:
        raise MailDelayed(
            f'"{one_line(text)}" is not an e-mail address.',
            hint=f"Check {key} in the configuration.",
        )
    return address


def _address(text: str, name: str = "") -> Address | None:
    local, at, domain = text.strip().rpartition("@")
    try:
        if not (local and at and domain):
            raise ValueError(text)
        return Address(name, local, domain)
    except (ValueError, IndexError):
        return None
