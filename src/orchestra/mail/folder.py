"""Mail as files, for who has no mail server: every message is a file that any mail program opens."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

from orchestra.domain.errors import MailDelayed
from orchestra.homefolder import make_own
from orchestra.mail.transport import Sent

KEPT = 1_000
"""Files; older ones are removed."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Writes messages into a folder of its own, which only its owner can read."""

    path: Path
    needs_real_address = False

    @property
    def where(self) -> str:
        return f"files in {self.path}"

    def send(self, message: EmailMessage) -> Sent:
        """Write the message into a file; a second time replaces the first."""
        file = self.path / _name(message)
        self._do(lambda: self._write(file, bytes(message)))
        return Sent(str(file), is_file=True)

    def check(self, _sender: str = "", _copies: Sequence[str] = ()) -> str:
        self._do(self._make)
        return f"no mail server is configured, mails are written into {self.path}"

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            raise MailDelayed(
                f"the mail folder {self.path} cannot be written to: {error.strerror}.",
                hint='Make room there, or name a mail server: "smtp_host" in the configuration.',
            ) from None

    def _make(self) -> None:
        make_own(self.path, 0o700)
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")

    def _write(self, file: Path, content: bytes) -> None:
        self._make()
        beside = file.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content.replace(b"\r\n", b"\n"))
        os.replace(beside, file)
        self._tidy()

    def _tidy(self) -> None:
        for old in sorted(self.path.glob("*.eml"))[:-KEPT]:
            old.unlink(missing_ok=True)


def _name(message: EmailMessage) -> str:
    """Give a name that sorts by time and is the same for the same message: 20261122-103400-finalized-1f2e3d4c.eml."""
    when = message["Date"].datetime.timetuple() if message["Date"] else time.gmtime()
    subject = str(message["Subject"]).removeprefix("[Orchestra] ")
    words = re.sub(r"[^A-Za-z0-9.]+", "-", subject)[:60].strip("-.")
    mark = re.sub(r"[^0-9a-f]", "", str(message["Message-ID"]).partition("@")[0])[:8]
    return f"{time.strftime('%Y%m%d-%H%M%S', when)}-{words}-{mark}.eml"
