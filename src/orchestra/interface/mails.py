"""What can be asked about mails, and done with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from orchestra.interface.answers.mails import OpenedMail, Outbox
from orchestra.interface.operation import Change, Question

MailState = Literal["waiting", "sent", "refused"]


@dataclass(frozen=True, slots=True)
class ListMails(Question[Outbox]):
    """The caller's mails or everybody's, the newest first and at most `limit`; those in one state where it is named."""

    everybody: bool = False
    state: MailState | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ShowMail(Question[OpenedMail]):
    """One mail, with all that it says.

    Raises:
        NotFound: there is none of that number.
        Refused: it is somebody else's, and the caller is no admin.
    """

    mail: int


@dataclass(frozen=True, slots=True)
class RetryMails(Change[tuple[int, ...]]):
    """Have mails sent now: these, or all of the caller's (everybody's, for an admin) that were set aside; gives which.

    Raises:
        NotFound: one of them is not there.
        Refused: one of them is somebody else's or was sent, or `everybody` takes an admin.
    """

    mails: tuple[int, ...] = ()
    everybody: bool = False
