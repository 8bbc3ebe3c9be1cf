"""Other channels (Slack, Teams, ntfy, ...) by way of apprise, an optional package."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

from orchestra.domain import human
from orchestra.domain.errors import MailDelayed, MailRefused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Channels:
    """Addresses that apprise knows. They hold secrets, so they are never shown."""

    urls: tuple[str, ...] = field(repr=False)

    @property
    def where(self) -> str:
        return human.listed([url.partition("://")[0] for url in self.urls])

    def post(self, title: str, text: str) -> None:
        """Tell all channels.

        Raises:
            MailRefused: apprise is not installed, or an address is none.
            MailDelayed: at least one of them did not take it.
        """
        failed = [name for name, url in self._named() if not _tell(name, url, title, text)]
        if failed:
            raise MailDelayed(
                f"{human.listed(failed)} did not take the message.",
                hint='Check "notify_urls" in the configuration.',
            )

    def _named(self) -> Sequence[tuple[str, str]]:
        if find_spec("apprise") is None:
            raise MailRefused(
                '"notify_urls" is set, and apprise is not installed here.',
                hint="pip install 'orchestra-hpc[notify]'",
            )
        return [
            (f'number {number} of "notify_urls" ({url.partition("://")[0]})', url)
            for number, url in enumerate(self.urls, start=1)
        ]


def _tell(name: str, url: str, title: str, text: str) -> bool:
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its messages show addresses
    channel = apprise.Apprise()
    try:
        known = channel.add(url)
        if known and channel.notify(title=title, body=text, body_format="text"):
            return True
    except Exception as error:  # noqa: BLE001 - a hundred plug-ins; none of them may keep a mail from being sent
        log.warning("%s failed: %s", name, type(error).__name__)
        return False
    if not known:
        raise MailRefused(
            f"{name} is no address that apprise knows.",
            hint="https://appriseit.com/services lists them.",
        )
    return False
