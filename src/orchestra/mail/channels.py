"""Notifications to other channels (Slack, Teams, ntfy, ...) with apprise, an optional package."""

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
    """Addresses for apprise. They contain secrets and are never shown."""

    urls: tuple[str, ...] = field(repr=False)

    @property
    def where(self) -> str:
        return human.listed([url.partition("://")[0] for url in self.urls])

    def post(self, title: str, text: str) -> None:
        """Post a message to all channels.

        Raises:
            MailRefused: apprise is not installed, or does not support an address.
            MailDelayed: at least one channel did not accept the message.
        """
        failed = [name for name, url in self._named() if not _post(name, url, title, text)]
        if failed:
            raise MailDelayed(
                f"{human.listed(failed)} did not accept the message.",
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


def _post(name: str, url: str, title: str, text: str) -> bool:
    import apprise

    logging.getLogger("apprise").setLevel(
        logging.CRITICAL + 1
    )  # its log messages contain addresses
    channel = apprise.Apprise()
    try:
        supported = channel.add(url)
        if supported and channel.notify(title=title, body=text, body_format="text"):
            return True
    except Exception as error:  # noqa: BLE001 - no plug-in may prevent a mail from being sent
        log.warning("%s failed: %s", name, type(error).__name__)
        return False
    if not supported:
        raise MailRefused(
            f"apprise does not support {name}.",
            hint="https://appriseit.com/services lists what it supports.",
        )
    return False
