"""The duty that sends mail, in a thread of its own, so that a slow server does not delay the other duties.

Notifications are taken in a transaction that checks the conductor's term, sent outside any transaction, and then
marked as sent. If the conductor dies in between, the mail is sent again under the same Message-ID.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from orchestra.conductor import attached_reports
from orchestra.conductor.attached_reports import Report
from orchestra.domain.errors import (
    DatabaseUnavailable,
    MailDelayed,
    MailRefused,
    MailTooLarge,
    OrchestraError,
    Superseded,
)
from orchestra.domain.naming import is_real_address
from orchestra.domain.notifications import BestResults, Notification, TaskNotification
from orchestra.mail import message, templates
from orchestra.mail.page import Page, as_text
from orchestra.mail.transport import Sent
from orchestra.services.mail import outbox
from orchestra.services.mail.outbox import Batch
from orchestra.services.tasks.best import best_results
from orchestra.store.cluster import leader

if TYPE_CHECKING:
    from orchestra.mail.settings import MailSettings

CHECK_EVERY = 2.0
TIDY_EVERY = 3600.0
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 300.0
"""Seconds without an attempt after a server has failed; the pause doubles with each failure."""
LAST_MAIL_SECONDS = 3.0
"""Seconds to send pending mail when the conductor ends."""

log = logging.getLogger(__name__)

Check = Callable[[psycopg.Connection], None]
"""Checks the conductor's term in the open transaction of a connection."""


class Mailer:
    """Checks in the conductor's thread whether mail is due, and sends it in another thread."""

    def __init__(self, settings: MailSettings, connect: Callable[[], psycopg.Connection]) -> None:
        self._settings, self._connect = settings, connect
        self._thread: threading.Thread | None = None
        self._check_at = self._tidy_at = self._paused_until = 0.0
        self._failures = 0
        self._error = ""

    @property
    def is_sending(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def tick(self, conn: psycopg.Connection, check: Check, *, at_once: bool = False) -> None:
        """Start sending if mail is due. The outbox is read every two seconds, or at once."""
        now = time.monotonic()
        if self.is_sending or now < self._paused_until or (now < self._check_at and not at_once):
            return
        self._check_at = now + CHECK_EVERY
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_EVERY
            outbox.tidy(conn)
        if outbox.is_due(conn):
            self._start(check, immediate=False)

    def finish(self, conn: psycopg.Connection, check: Check) -> None:
        """Send what can be sent in a few seconds, while the term is still held."""
        may_send = not self.is_sending and time.monotonic() >= self._paused_until
        if may_send and outbox.is_due(conn, immediate=True):
            self._start(check, immediate=True)
        if self._thread:
            self._thread.join(LAST_MAIL_SECONDS)

    def _start(self, check: Check, *, immediate: bool) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(check, immediate), name="mailer", daemon=True
        )
        self._thread.start()

    def _run(self, check: Check, immediate: bool) -> None:
        try:
            with self._connect() as conn:
                leader.set_limits(conn)
                while batch := outbox.take(conn, lambda: check(conn), immediate=immediate):
                    if not self.deliver(conn, batch):
                        break
        except (DatabaseUnavailable, Superseded, psycopg.Error) as error:
            log.warning("mail: %s", error)
        except Exception:
            # The mail stays taken until its lease expires, so it does not hold up other mail.
            log.exception("mail: a bug in Orchestra")

    def deliver(self, conn: psycopg.Connection, batch: Batch) -> bool:
        """Send one batch and store the result; False if the server must not be used for a while."""
        if not batch.notifications:
            return True
        pages = [
            templates.page(notification, _best(conn, notification))
            for notification in batch.notifications
        ]
        reports = attached_reports.write(conn, batch.notifications)
        self._post_to_channels(conn, batch, pages)
        try:
            sent = self._send(batch, pages, reports)
        except MailRefused as error:
            log.warning("mail to %s was set aside: %s", batch.to.email, error)
            outbox.note_refused(
                conn,
                batch,
                str(error),
                subject=pages[0].subject,
                notify_admins=not isinstance(error, _NoAddress),
            )
            return True
        except MailDelayed as error:
            return self._delay(conn, batch, error, pages[0].subject)
        if sent.missed:
            log.warning("mail to %s was sent by %s", batch.to.email, sent)
        outbox.note_sent(conn, batch, str(sent))
        if self._failures:
            outbox.retry_now(conn)
        self._failures, self._error = 0, ""
        return True

    def _send(self, batch: Batch, pages: list[Page], reports: list[Report | None]) -> Sent:
        to = batch.to
        if self._settings.transport.needs_real_address and not is_real_address(to.email):
            raise _NoAddress(
                f"user {to.name} has no e-mail address ({to.email} is made up): "
                f"maestro user set -n {to.name} -e ADDRESS"
            )
        envelope = message.Envelope(
            sender=self._settings.sender,
            to=to.email,
            user=to.name,
            message_id=batch.message_id,
            date=batch.date,
            copy_to=self._settings.copy_to,
        )
        try:
            return self._send_with(pages, envelope, reports)
        except MailTooLarge:
            if not any(report and report.attachment for report in reports):
                raise
            why = f"which is too large for {self._settings.transport.where}"
            return self._send_with(
                pages, envelope, [each and each.without(why) for each in reports]
            )

    def _send_with(
        self, pages: list[Page], envelope: message.Envelope, reports: list[Report | None]
    ) -> Sent:
        attachments = [each.attachment for each in reports if each and each.attachment]
        told = attached_reports.announced(pages, reports)
        sent = self._settings.transport.send(message.build(told, envelope, attachments))
        missing = tuple(each.missing for each in reports if each and each.missing)
        return replace(sent, missed=(*sent.missed, *missing))

    def _delay(
        self, conn: psycopg.Connection, batch: Batch, error: MailDelayed, subject: str
    ) -> bool:
        if str(error) != self._error:  # log each error once
            log.warning("mail waits: %s", error)
        self._error = str(error)
        outbox.note_delayed(
            conn, batch, str(error), subject=subject, perhaps_sent=error.perhaps_sent
        )
        if error.about_server:
            pause = min(FIRST_PAUSE * 2 ** min(self._failures, 10), LONGEST_PAUSE)
            self._paused_until = time.monotonic() + pause
            self._failures += 1
        return not error.about_server

    def _post_to_channels(self, conn: psycopg.Connection, batch: Batch, pages: list[Page]) -> None:
        """Post to the channels once, whether or not the mail is sent. A failed post is not repeated."""
        unposted = [page for page, posted in zip(pages, batch.posted, strict=True) if not posted]
        if self._settings.channels is None or not unposted:
            return
        try:
            self._settings.channels.post(message.subject_of(unposted), as_text(unposted))
        except OrchestraError as error:
            log.warning("a channel was not notified: %s", error)
        outbox.note_posted(conn, batch)


class _NoAddress(MailRefused):
    """The user has no address that mail can be sent to."""

    code = "no_address"


def _best(conn: psycopg.Connection, notification: Notification) -> BestResults | None:
    if not isinstance(notification, TaskNotification) or notification.outcome not in (
        "DONE",
        "FINALIZED",
    ):
        return None
    try:
        return best_results(conn, notification.task)
    except (OrchestraError, OSError, ValueError, psycopg.Error) as error:
        log.warning("mail without results: %s", error)
        return None
