"""Mails in the outbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail; `last_error` says why it is waiting or was set aside."""

    id: int
    kind: str
    person: str
    email: str
    task_id: int | None
    payload: Mapping[str, Any]
    created_at: datetime
    next_try: datetime
    tries: int
    sent_at: datetime | None
    sent_how: str | None
    refused_at: datetime | None
    last_error: str | None
    message_id: str

    @property
    def state(self) -> str:
        if self.sent_at:
            return "sent"
        return "refused" if self.refused_at else "waiting"


@dataclass(frozen=True, slots=True)
class Summary:
    """How many mails are waiting or were set aside within a week; when the oldest was written, and why it waits."""

    waiting: int
    refused: int
    oldest: datetime | None
    error: str | None
