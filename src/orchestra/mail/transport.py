"""The interface of mail transports: an SMTP server, or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sent:
    """The result of sending a message: the server or the file, and what was left out: recipients, attachments."""

    where: str
    is_file: bool = False
    missed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.where + (f", but {'; '.join(self.missed)}" if self.missed else "")


class Transport(Protocol):
    """Sends messages. `needs_real_address` says that made-up addresses like `ana@gauss` cannot be used."""

    needs_real_address: bool

    @property
    def where(self) -> str:
        """Its name for people."""
        ...

    def send(self, message: EmailMessage) -> Sent:
        """Send a message to everybody in To and Cc.

        Raises:
            MailDelayed: it can be retried later.
            MailRefused: this message cannot be sent.
        """

    def check(self, sender: str = "", copies: Sequence[str] = ()) -> str:
        """Check without sending a message whether mail and copies can be sent; return the result in words.

        Raises:
            MailDelayed, MailRefused: they cannot.
        """
