"""Questions about mail, and changes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestra.interface.answers.mails import OpenedMail, Outbox
from orchestra.interface.operation import Change, Question

MailState = Literal["waiting", "sent", "refused"]


@dataclass(frozen=True, slots=True)
class ListMails(Question[Outbox]):
    """The caller's mails or everybody's, newest first and at most `limit`, optionally only those in one state."""

    everybody: bool = False
    state: MailState | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ShowMail(Question[OpenedMail]):
    """One mail with its content.

    Raises:
        NotFound: there is none with that number.
        Refused: it belongs to somebody else, and the caller is not an admin.
    """

    mail: int


@dataclass(frozen=True, slots=True)
class RetryMails(Change[tuple[int, ...]]):
    """Send mails now: these, or all of the caller's (everybody's, for an admin) that were set aside.

    Raises:
        NotFound: one of them does not exist.
        Refused: one of them belongs to somebody else or has been sent, or `everybody` needs an admin.
    """

    mails: tuple[int, ...] = ()
    everybody: bool = False
