"""Mail without a server: every message becomes a file that any mail program can open."""

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
"""Number of files; the oldest are removed."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Writes messages to a folder that only its owner can read."""

    path: Path
    needs_real_address = False

    @property
    def where(self) -> str:
        return f"files in {self.path}"

    def send(self, message: EmailMessage) -> Sent:
        """Write the message to a file. The same message again replaces it."""
        file = self.path / _name(message)
        self._translating_errors(lambda: self._write(file, bytes(message)))
        return Sent(str(file), is_file=True)

    def check(self, _sender: str = "", _copies: Sequence[str] = ()) -> str:
        self._translating_errors(self._make)
        return f"no mail server is configured, mails are written to {self.path}"

    def _translating_errors(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            raise MailDelayed(
                f"the mail folder {self.path} cannot be written to: {error.strerror}.",
                hint='Check the folder and the free space there, or set "smtp_host" in the configuration.',
            ) from None

    def _make(self) -> None:
        make_own(self.path, 0o700)
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")

    def _write(self, file: Path, content: bytes) -> None:
        self._make()
        temporary = file.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(content.replace(b"\r\n", b"\n"))
        os.replace(temporary, file)
        self._remove_oldest()

    def _remove_oldest(self) -> None:
        for old in sorted(self.path.glob("*.eml"))[:-KEPT]:
            old.unlink(missing_ok=True)


def _name(message: EmailMessage) -> str:
    """Return a name that sorts by time and is unique to a message: 20261122-103400-finalized-1f2e3d4c.eml."""
    when = message["Date"].datetime.timetuple() if message["Date"] else time.gmtime()
    subject = str(message["Subject"]).removeprefix("[Orchestra] ")
    words = re.sub(r"[^A-Za-z0-9.]+", "-", subject)[:60].strip("-.")
    ident = re.sub(r"[^0-9a-f]", "", str(message["Message-ID"]).partition("@")[0])[:8]
    return f"{time.strftime('%Y%m%d-%H%M%S', when)}-{words}-{ident}.eml"
