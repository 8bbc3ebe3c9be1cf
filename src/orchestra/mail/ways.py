"""The ways by which a message leaves: an SMTP server, or a folder. What they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from typing import Protocol


class Way(Protocol):
    """Where mail goes. `where` names it for people; `needs_real_address` says that `ana@gauss` is of no use there."""

    needs_real_address: bool

    @property
    def where(self) -> str: ...

    def send(self, message: EmailMessage) -> str:
        """Send a message to everybody in To and Cc; gives how it was sent, in words: `where`, and who does not get it.

        Raises:
            MailDelayed: not now, perhaps later.
            MailRefused: this one not at all.
        """

    def check(self, sender: str = "", copies: Sequence[str] = ()) -> str:
        """Find out whether mail could be sent, and copies to whom, without sending any; gives what was found, in words.

        Raises:
            MailDelayed, MailRefused: it could not.
        """
