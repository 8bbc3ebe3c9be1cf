"""How mail is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestra.mail.channels import Channels
    from orchestra.mail.transport import Transport


@dataclass(frozen=True, slots=True)
class MailSettings:
    """How this process sends mail: by which transport, from whom, with copies to whom, and to which channels."""

    transport: Transport
    sender: str
    copy_to: tuple[str, ...] = ()
    channels: Channels | None = None
