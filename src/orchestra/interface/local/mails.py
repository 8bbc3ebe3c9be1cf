"""Carries out the requests of `interface/mails.py`."""

from __future__ import annotations

from orchestra.domain.models.mails import Mail
from orchestra.interface import mails as ask
from orchestra.interface.answers.mails import OpenedMail, Outbox
from orchestra.interface.local import Scope
from orchestra.services.mail import mails


def list_mails(scope: Scope, asked: ask.ListMails) -> Outbox:
    found = mails.listed(
        scope.conn,
        scope.caller,
        everybody=asked.everybody,
        state=asked.state,
        limit=asked.limit,
    )
    return Outbox(tuple(found), mails.summary(scope.conn))


def show_mail(scope: Scope, asked: ask.ShowMail) -> OpenedMail:
    from orchestra.services.tasks.best import best_results

    mail = mails.show(scope.conn, scope.caller, asked.mail)
    if mail.kind != "task" or mail.task_id is None:
        return OpenedMail(mail)
    return OpenedMail(mail, best_results(scope.conn, mail.task_id), _report(scope, mail))


def _report(scope: Scope, mail: Mail) -> str | None:
    from orchestra.domain import notifications
    from orchestra.domain.naming import report_file
    from orchestra.services.tasks import reports

    if notifications.WITHOUT_REPORT in (mail.sent_how or ""):
        return None
    try:
        notification = notifications.from_payload(mail.kind, mail.payload)
    except (KeyError, TypeError):  # written by another version
        return None
    task = reports.wanted(scope.conn, notification)
    return report_file(task.name) if task else None


def retry_mails(scope: Scope, asked: ask.RetryMails) -> tuple[int, ...]:
    return tuple(mails.again(scope.conn, scope.caller, asked.mails, everybody=asked.everybody))
