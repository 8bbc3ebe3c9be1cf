"""Mails of the outbox in words, for who looks at them there."""

from __future__ import annotations

from orchestra.domain import letters
from orchestra.domain.letters import BestResults
from orchestra.domain.models.mails import Mail
from orchestra.mail import templates
from orchestra.mail.page import Page, as_text


def subject(mail: Mail) -> str:
    """Return what a mail is about; of one that another version has written its kind alone."""
    try:
        return templates.subject(letters.from_payload(mail.kind, mail.payload))
    except (KeyError, TypeError):
        return mail.kind


def text(mail: Mail, best: BestResults | None) -> str:
    """Return what a mail says, as plain text."""
    page = _page(mail, best)
    return as_text([page]) if page else "Another version of Orchestra has written it."


def _page(mail: Mail, best: BestResults | None) -> Page | None:
    try:
        return templates.page(letters.from_payload(mail.kind, mail.payload), best)
    except (KeyError, TypeError):
        return None
