"""Mail: where this machine sends it, whether that works, and which messages wait or were refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra.cli.local.doctor.finding import Failure, Finding, ok, problem, warning
from orchestra.domain import human

if TYPE_CHECKING:
    from orchestra.config import Settings
    from orchestra.domain.models.mails import Summary

CHECK = "mail"


def inspect(settings: Settings) -> str:
    """Return where mail goes. A mail server is asked whether it accepts mail; none is sent.

    Raises:
        OrchestraError: no mail can be sent; the sentence says why.
    """
    from orchestra.wiring.mail import mail_settings

    mail = mail_settings(settings)
    if not mail.transport.needs_real_address:  # its check would create the folder
        return f"no mail server is configured: {mail.transport.where}"
    return mail.transport.check(mail.sender, mail.copy_to)


def assess(seen: str | Failure, outbox: Summary | None) -> Iterator[Finding]:
    """Report where mail goes and what is in the outbox; None if the database cannot say."""
    waits = (
        f"; {human.count(outbox.waiting, 'message')} to be sent"
        if outbox and outbox.waiting
        else ""
    )
    if isinstance(seen, Failure):
        yield problem(CHECK, f"{seen.says.rstrip('.')}{waits}.", seen.remedy)
    else:
        yield ok(CHECK, f"{seen}{waits}")
    if outbox is None:
        return
    why = f": {human.one_line(outbox.error, 300)}" if outbox.error else "."
    if outbox.refused:
        says = f"{human.count(outbox.refused, 'message')} set aside{why}"
        yield warning(
            CHECK, says, "maestro mail list -a --state refused   then: maestro mail retry"
        )
    elif outbox.waiting and outbox.error:
        yield warning(CHECK, f"the last attempt failed{why}", "maestro mail test")
