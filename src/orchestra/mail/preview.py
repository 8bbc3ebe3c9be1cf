"""The subject and text of mails in the outbox, for display."""

from __future__ import annotations

from orchestra.domain import notifications
from orchestra.domain.models.mails import Mail
from orchestra.domain.notifications import BestResults
from orchestra.mail import templates
from orchestra.mail.page import Page, as_text


def subject(mail: Mail) -> str:
    """Return the subject of a mail, or its kind if another version of Orchestra has written it."""
    try:
        return templates.subject(notifications.from_payload(mail.kind, mail.payload))
    except (KeyError, TypeError):
        return mail.kind


def text(mail: Mail, best: BestResults | None, report: str | None = None) -> str:
    """Return the text of a mail; `report` is the name of the attached one."""
    page = _page(mail, best)
    if page and report:
        page = templates.attached(page, report)
    return as_text([page]) if page else "It was written by another version of Orchestra."


def _page(mail: Mail, best: BestResults | None) -> Page | None:
    try:
        return templates.page(notifications.from_payload(mail.kind, mail.payload), best)
    except (KeyError, TypeError):
        return None
