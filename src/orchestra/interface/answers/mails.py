"""Mail."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.mails import Mail, Summary
from orchestra.domain.notifications import BestResults


@dataclass(frozen=True, slots=True)
class Outbox:
    """Mails, newest first, and a summary of the outbox."""

    mails: tuple[Mail, ...]
    summary: Summary


@dataclass(frozen=True, slots=True)
class OpenedMail:
    """A mail, and what is looked up when it is sent: its task's best results, the name of the attached report."""

    mail: Mail
    best: BestResults | None = None
    report: str | None = None
