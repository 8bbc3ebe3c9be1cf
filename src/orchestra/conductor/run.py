"""Runs the conductor of a process: connects, reconnects and survives failures."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

import psycopg

from orchestra.conductor.conductor import Conductor
from orchestra.conductor.mailer import Mailer
from orchestra.domain import troubles
from orchestra.domain.errors import DatabaseUnavailable
from orchestra.domain.leases import MARGIN
from orchestra.domain.retention import DEFAULT_RETENTION, RetentionPolicy
from orchestra.domain.troubles import Trouble
from orchestra.mail.settings import MailSettings
from orchestra.services.database import recovery

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 3.0
"""Seconds between two attempts to connect."""

log = logging.getLogger(__name__)


def run(
    connect: Callable[[], psycopg.Connection],
    stop: threading.Event,
    *,
    name: str,
    preferred: bool = False,
    margin: float = MARGIN,
    patience: float = recovery.PATIENCE,
    mail: MailSettings | None = None,
    keep: RetentionPolicy = DEFAULT_RETENTION,
    say: Callable[[Trouble | None], None] = lambda _: None,
) -> None:
    """Act as the conductor, or stand by, until `stop` is set. Reconnects when the database is unavailable.

    Args:
        connect: opens a new connection.
        name: shown to people; for a pilot, its node's name.
        preferred: take the term from a process that is not preferred.
        margin: seconds beyond lease and grace before a silent keeper is considered dead.
        patience: seconds that a replaced database waits for unknown pilots.
        mail: how to send mail; without it, other processes must send it.
        keep: for how long old rows are kept.
        say: called with the current trouble, and with None when there is none any more.
    """
    pause = FIRST_PAUSE
    conductor = Conductor(
        stop,
        name=name,
        preferred=preferred,
        margin=margin,
        patience=patience,
        mailer=Mailer(mail, connect) if mail else None,
        keep=keep,
        say=say,
    )
    while not stop.is_set():
        try:
            with connect() as conn:
                pause = FIRST_PAUSE
                conductor.serve(conn)
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("conductor: %s", error)
        except Exception as error:
            # A bug, or something of a newer version: the cluster must not be left without a conductor.
            log.exception("conductor: it failed and starts again")
            say(troubles.conductor_failed(str(error)))
        else:
            continue
        stop.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that processes do not retry in step
        pause = min(pause * 2, LONGEST_PAUSE)
