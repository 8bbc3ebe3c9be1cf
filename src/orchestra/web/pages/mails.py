"""The mails to who asks: sent, waiting, and refused ones."""

from __future__ import annotations

from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.domain.errors import NotFound
from orchestra.interface.mails import ListMails, RetryMails, ShowMail
from orchestra.mail import preview
from orchestra.web.rendering import go, page

SHOWN = 50


def show_mails(call: Call) -> Response:
    """Show the newest mails."""
    outbox = call.ask(ListMails(limit=SHOWN + 1))
    return page(
        call,
        "mails.html",
        mails=[(mail, preview.subject(mail)) for mail in outbox.mails[:SHOWN]],
        more=len(outbox.mails) > SHOWN,
        summary=outbox.summary,
    )


def show_mail(call: Call) -> Response:
    """Show one mail.

    Raises:
        NotFound, NotAllowed: there is none with that number, or it belongs to somebody else.
    """
    opened = call.ask(ShowMail(_number(call)))
    return page(
        call,
        "mail.html",
        mail=opened.mail,
        subject=preview.subject(opened.mail),
        text=preview.text(opened.mail, opened.best, opened.report),
    )


def send_again(call: Call) -> Response:
    """Send a mail that was refused again.

    Raises:
        NotFound, Refused: there is none with that number, it was sent, or it belongs to somebody else.
    """
    mail = _number(call)
    call.ask(RetryMails((mail,)))
    return go(call, f"/mails/{mail}", "It will be sent within seconds.")


def _number(call: Call) -> int:
    text = call.params["mail"]
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise NotFound("there is no such mail.")
    return int(text)


ENDPOINTS = (
    Endpoint("GET", "/mails", show_mails),
    Endpoint("GET", "/mails/{mail}", show_mail),
    Endpoint("POST", "/mails/{mail}/retry", send_again),
)
