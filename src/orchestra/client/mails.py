"""Mail: `client.mails`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.client import words
from orchestra.client.session import Session
from orchestra.domain.errors import BadInput
from orchestra.domain.models.mails import Mail

if TYPE_CHECKING:
    import builtins

    from orchestra.interface.mails import MailState

_STATES = ("waiting", "sent", "refused")


@dataclass(frozen=True, slots=True)
class MailContent:
    """A mail with its content: `info` is its entry in the list, `text` the plain text."""

    info: Mail
    subject: str
    text: str


class Mails:
    """Mail that Orchestra has written: sent, waiting, or refused by a mail server."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(
        self,
        *,
        all: bool = False,  # noqa: A002 - the word of the command line
        state: MailState | None = None,
        limit: int | None = None,
    ) -> builtins.list[Mail]:
        """Return your mails, the newest first.

        Args:
            all: of all users.
            state: only "waiting", "sent" or "refused" ones.
            limit: only so many of the newest.

        Raises:
            BadInput: there is no such state.
        """
        from orchestra.interface.mails import ListMails

        if state is not None and state not in _STATES:
            raise BadInput(f'state must be "waiting", "sent" or "refused", not {state!r}.')
        most = None if limit is None else words.whole("limit", limit, least=1)
        return [*self._session(ListMails(all, state, most)).mails]

    def show(self, mail: int | Mail) -> MailContent:
        """Return a mail with its content.

        Raises:
            NotFound: there is none with that number.
            Refused: it belongs to somebody else, and you are not an admin.
        """
        from orchestra.interface.mails import ShowMail
        from orchestra.mail import preview

        found = self._session(ShowMail(_number(mail)))
        return MailContent(
            found.mail, preview.subject(found.mail), preview.text(found.mail, found.best).rstrip()
        )

    def retry(self, *mails: int | Mail, all: bool = False) -> builtins.list[int]:  # noqa: A002
        """Send mails now: these, or all of yours that were set aside. Return the numbers of those that will be sent.

        The conductor sends them; `list` shows the result. `all` means all users' mail, for an admin.

        Raises:
            NotFound, Refused: a mail does not exist, belongs to somebody else, or has been sent.
        """
        from orchestra.interface.mails import RetryMails

        return [*self._session(RetryMails(tuple(map(_number, mails)), all))]


def _number(mail: int | Mail) -> int:
    return words.whole("a mail", mail.id if isinstance(mail, Mail) else mail, least=0)
