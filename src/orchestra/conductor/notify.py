"""The duty that sends mail: a thread of its own, so that a slow server keeps the conductor from nothing else.

Letters are taken in a transaction that checks the conductor's term, sent outside of any, and then written down as sent.
A conductor that dies between the two leaves a mail that goes out again, under the same Message-ID.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from orchestra.domain.errors import (
    DatabaseUnavailable,
    MailDelayed,
    MailRefused,
    OrchestraError,
    Superseded,
)
from orchestra.domain.letters import BestResults, Letter, TaskLetter
from orchestra.domain.naming import is_real_address
from orchestra.mail import message, words
from orchestra.mail.page import Page, as_text
from orchestra.mail.ways import Sent, Way
from orchestra.services import outbox
from orchestra.services.best import best_results
from orchestra.services.outbox import Parcel
from orchestra.store import leader

if TYPE_CHECKING:
    from orchestra.mail.channels import Channels

LOOK_EVERY = 2.0
TIDY_EVERY = 3600.0
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 300.0
"""Seconds in which a server that could not be used is left alone; each time twice as long."""
GOODBYE = 3.0
"""Seconds for what is to be sent when the conductor ends."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Post:
    """How this process sends mail: by which way, from whom, with a copy to whom, and which channels are told."""

    way: Way
    sender: str
    copy_to: tuple[str, ...] = ()
    channels: Channels | None = None


class Postman:
    """Looks whether mail is due, in the conductor's thread; sends it in another, one at a time."""

    def __init__(self, post: Post, connect: Callable[[], psycopg.Connection]) -> None:
        self._post, self._connect = post, connect
        self._thread: threading.Thread | None = None
        self._look_at = self._tidy_at = 0.0
        self._quiet_until = 0.0
        self._failures = 0
        self._error = ""

    @property
    def at_work(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def tick(
        self,
        conn: psycopg.Connection,
        guard: Callable[[psycopg.Connection], None],
        *,
        at_once: bool = False,
    ) -> None:
        """Start sending where something is due: looks every two seconds, or at once.

        `guard` checks the conductor's term on a connection.
        """
        now = time.monotonic()
        if self.at_work or now < self._quiet_until or (now < self._look_at and not at_once):
            return
        self._look_at = now + LOOK_EVERY
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_EVERY
            outbox.tidy(conn)
        if outbox.is_due(conn):
            self._start(guard, hurry=False)

    def finish(self, conn: psycopg.Connection, guard: Callable[[psycopg.Connection], None]) -> None:
        """Send what can be sent in a few seconds, while the term is still held."""
        if (
            not self.at_work
            and time.monotonic() >= self._quiet_until
            and outbox.is_due(conn, hurry=True)
        ):
            self._start(guard, hurry=True)
        if self._thread:
            self._thread.join(GOODBYE)

    def _start(self, guard: Callable[[psycopg.Connection], None], *, hurry: bool) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(guard, hurry), name="postman", daemon=True
        )
        self._thread.start()

    def _run(self, guard: Callable[[psycopg.Connection], None], hurry: bool) -> None:
        try:
            with self._connect() as conn:
                leader.set_limits(conn)
                while parcel := outbox.take(conn, lambda: guard(conn), hurry=hurry):
                    if not self.deliver(conn, parcel):
                        break
        except (DatabaseUnavailable, Superseded, psycopg.Error) as error:
            log.warning("mail: %s", error)
        except Exception:
            # The mail stays taken for a while, so that it keeps the others from nothing.
            log.exception("mail: a bug in Orchestra")

    def deliver(self, conn: psycopg.Connection, parcel: Parcel) -> bool:
        """Send one parcel and write down what came of it; False when the server is to be left alone for a while."""
        if not parcel.letters:
            return True
        pages = [self._page(conn, letter) for letter in parcel.letters]
        self._tell_channels(conn, parcel, pages)
        try:
            sent = self._send(parcel, pages)
        except MailRefused as error:
            log.warning("mail to %s was put aside: %s", parcel.to.email, error)
            tell = not isinstance(error, _NoAddress)
            outbox.note_refused(conn, parcel, str(error), subject=pages[0].subject, tell=tell)
            return True
        except MailDelayed as error:
            return self._note_delay(conn, parcel, error, pages[0].subject)
        if sent.missed:
            log.warning("mail to %s was sent by %s", parcel.to.email, sent)
        outbox.note_sent(conn, parcel, str(sent))
        if self._failures:
            outbox.hurry(conn)
        self._failures, self._error = 0, ""
        return True

    def _send(self, parcel: Parcel, pages: list[Page]) -> Sent:
        to = parcel.to
        if self._post.way.needs_real_address and not is_real_address(to.email):
            raise _NoAddress(
                f"user {to.name} has no e-mail address ({to.email} is made up): "
                f"maestro user set -n {to.name} -e ADDRESS"
            )
        envelope = message.Envelope(
            sender=self._post.sender,
            to=to.email,
            user=to.name,
            message_id=parcel.message_id,
            date=parcel.date,
            copy_to=self._post.copy_to,
        )
        return self._post.way.send(message.build(pages, envelope))

    def _note_delay(
        self, conn: psycopg.Connection, parcel: Parcel, error: MailDelayed, subject: str
    ) -> bool:
        if str(error) != self._error:  # said once
            log.warning("mail waits: %s", error)
        self._error = str(error)
        outbox.note_delayed(
            conn, parcel, str(error), subject=subject, perhaps_sent=error.perhaps_sent
        )
        if error.about_server:
            pause = min(FIRST_PAUSE * 2 ** min(self._failures, 10), LONGEST_PAUSE)
            self._quiet_until = time.monotonic() + pause
            self._failures += 1
        return not error.about_server

    def _page(self, conn: psycopg.Connection, letter: Letter) -> Page:
        return words.page(letter, _best(conn, letter))

    def _tell_channels(self, conn: psycopg.Connection, parcel: Parcel, pages: list[Page]) -> None:
        """Tell them once, whatever becomes of the mail; what they do not take is not repeated."""
        news = [page for page, known in zip(pages, parcel.posted, strict=True) if not known]
        if self._post.channels is None or not news:
            return
        try:
            self._post.channels.post(message.subject_of(news), as_text(news))
        except OrchestraError as error:
            log.warning("a channel was not told: %s", error)
        outbox.note_posted(conn, parcel)


class _NoAddress(MailRefused):
    """There is no address to send to."""

    code = "no_address"


def _best(conn: psycopg.Connection, letter: Letter) -> BestResults | None:
    if not isinstance(letter, TaskLetter) or letter.outcome not in ("DONE", "FINALIZED"):
        return None
    try:
        return best_results(conn, letter.task)
    except (OrchestraError, OSError, ValueError, psycopg.Error) as error:
        log.warning("mail without results: %s", error)
        return None
