"""The conductor, in a process of its own or in a pilot's thread."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from orchestra.domain.errors import ConfigurationError

if TYPE_CHECKING:
    import threading

    import psycopg

    from orchestra.config import Settings
    from orchestra.domain.troubles import Trouble


def conduct(
    settings: Settings,
    stop: threading.Event,
    *,
    name: str,
    preferred: bool = False,
    out: TextIO | None = None,
    say: Callable[[Trouble | None], None] = lambda _: None,
) -> None:
    """Act as the conductor, or stand by, until `stop` is set. `out` gets its log; `say` each new trouble, or None."""
    from orchestra.conductor import run
    from orchestra.domain.retention import RetentionPolicy
    from orchestra.wiring.database import reconnect
    from orchestra.wiring.mail import mail_settings

    def join() -> psycopg.Connection:
        return reconnect(settings, name=f"maestro {name}" if out else f"maestro conductor {name}")

    if out is not None:
        logging.basicConfig(stream=out, format="%(asctime)s %(message)s", level=logging.INFO)
    try:
        mail = mail_settings(settings)
    except ConfigurationError as error:  # tasks do not depend on mail
        logging.getLogger(__name__).warning("no mail is sent: %s", error)
        mail = None
    if mail and out is not None:
        logging.getLogger(__name__).info("mail is sent by %s", mail.transport.where)
    run.run(
        join,
        stop,
        name=name,
        preferred=preferred,
        mail=mail,
        keep=RetentionPolicy(settings.keep_events, settings.keep_logs, settings.keep_metrics),
        say=say,
    )
