"""The ways by which a message leaves: an SMTP server, or a folder. What they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message: the server that took it, or the file that it is, and whom it was not taken for."""

    where: str
    is_file: bool = False
    missed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.where + (f", but {'; '.join(self.missed)}" if self.missed else "")


class Transport(Protocol):
    """Where mail goes. `where` names it for people; `needs_real_address` says that `ana@gauss` is of no use there."""

    needs_real_address: bool

    @property
    def where(self) -> str: ...

    def send(self, message: EmailMessage) -> Sent:
        """Send a message to everybody in To and Cc.

        Raises:
            MailDelayed: not now, perhaps later.
            MailRefused: this one not at all.
        """

    def check(self, sender: str = "", copies: Sequence[str] = ()) -> str:
        """Find out whether mail could be sent, and copies to whom, without sending any; gives what was found, in words.

        Raises:
            MailDelayed, MailRefused: it could not.
        """
