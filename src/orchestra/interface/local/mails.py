"""Carries out what is asked about mails."""

from __future__ import annotations

from orchestra.interface import mails as ask
from orchestra.interface.answers.mails import OpenedMail, Outbox
from orchestra.interface.local import Scope
from orchestra.services import mails
from orchestra.services.rights import check_may_change


def list_mails(scope: Scope, asked: ask.ListMails) -> Outbox:
    found = mails.listed(
        scope.conn,
        scope.caller.user,
        everybody=asked.everybody,
        state=asked.state,
        limit=asked.limit,
    )
    return Outbox(tuple(found), mails.summary(scope.conn))


def show_mail(scope: Scope, asked: ask.ShowMail) -> OpenedMail:
    from orchestra.services.best import best_results

    mail = mails.show(scope.conn, asked.mail, scope.caller.user)
    if mail.kind != "task" or mail.task_id is None:
        return OpenedMail(mail)
    return OpenedMail(mail, best_results(scope.conn, mail.task_id))


def retry_mails(scope: Scope, asked: ask.RetryMails) -> tuple[int, ...]:
    if asked.everybody:
        check_may_change(scope.caller.user, "everybody", "the mail of others")
    found = mails.again(scope.conn, asked.mails, scope.caller.user, everybody=asked.everybody)
    return tuple(found)
