"""The reports that mails about ended tasks carry, where their owners asked for it.

They are written when the mail is sent, from the database alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psycopg

from orchestra.domain import human
from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.tasks import Task
from orchestra.domain.naming import report_file
from orchestra.domain.notifications import WITHOUT_REPORT, Notification
from orchestra.domain.stored_results import table
from orchestra.mail.message import Attachment
from orchestra.mail.page import Command, Page, Paragraph
from orchestra.mail.templates import attached
from orchestra.reports import page as written
from orchestra.services.tasks import reports

AT_MOST = 5_000_000
"""Bytes of all reports in one mail. Most servers take 10 MB, and encoding adds a third."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """The report on a task for a mail, or why the mail has none."""

    task: int
    attachment: Attachment | None
    why_not: str = ""

    def without(self, why: str) -> Report:
        return replace(self, attachment=None, why_not=why)

    @property
    def missing(self) -> str:
        """`without the report on task 3, which could not be written`; empty if it is there."""
        return "" if self.attachment else f"{WITHOUT_REPORT} {self.task}, {self.why_not}"


def write(conn: psycopg.Connection, notifications: Sequence[Notification]) -> list[Report | None]:
    """Write the report for each notification that wants one, as long as they fit into one mail."""
    left = AT_MOST
    found: list[Report | None] = []
    for notification in notifications:
        task = reports.wanted(conn, notification)
        if task is None:
            found.append(None)
            continue
        # Writing one takes a second or two, so none is written to be thrown away.
        report = _write(conn, task) if left >= 0 else Report(task.id, None)
        if report.attachment:
            left -= len(report.attachment.content)
        if left < 0:
            report = report.without(f"because the mail would have more than {human.size(AT_MOST)}")
        found.append(report)
    return found


def _write(conn: psycopg.Connection, task: Task) -> Report:
    try:
        facts = reports.facts(conn, str(task.id))
        html = written.html(facts, table(facts.results))
    except (OrchestraError, ValueError, ArithmeticError, psycopg.Error) as error:
        log.warning("mail without the report on task %s: %s", task.id, error)
        return Report(task.id, None, "which could not be written")
    content = html.encode(errors="backslashreplace")
    return Report(task.id, Attachment(report_file(task.name), content))


def announced(pages: Sequence[Page], reports: Sequence[Report | None]) -> list[Page]:
    """Return the pages with a line about the report of each."""
    return [_announced(page, each) for page, each in zip(pages, reports, strict=True)]


def _announced(page: Page, report: Report | None) -> Page:
    if report is None:
        return page
    if report.attachment:
        return attached(page, report.attachment.name)
    told = (
        Paragraph(f"This mail is {report.missing}."),
        Command("Write it into a file", f"maestro task report {report.task}"),
    )
    return replace(page, blocks=(*page.blocks, *told))
