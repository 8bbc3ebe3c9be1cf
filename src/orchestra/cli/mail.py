"""`maestro mail`: mails that were sent, wait or were refused, and a test mail."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.output import Record, ago, clean
from orchestra.cli.registry import Verb
from orchestra.cli.table import Column, Fit
from orchestra.domain import human
from orchestra.domain.errors import BadInput, DatabaseUnavailable

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.mails import Mail

_AT_MOST = 50


# list


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="show the mails of all users")
    parser.add_argument(
        "--state",
        choices=("waiting", "sent", "refused"),
        help="show the mails in this state: waiting, sent, or refused for good by the mail server",
    )
    parser.add_argument(
        *("-l", "--limit"),
        type=whole,
        metavar="N",
        help=f"show the newest N (default {_AT_MOST}; all with -q and in JSON)",
    )


def _list(ctx: Context) -> None:
    from orchestra.interface.mails import ListMails
    from orchestra.mail import preview

    args = ctx.args
    if args.limit is not None and args.limit < 1:
        raise BadInput(f"--limit cannot be {args.limit}.")
    limit = _AT_MOST if args.limit is None and ctx.out.for_people else args.limit
    with ctx.interface() as ask:
        outbox = ask(ListMails(args.all, args.state, None if limit is None else limit + 1))
    found, waiting = outbox.mails, outbox.summary
    now = datetime.now(UTC)
    columns: tuple[Column[Mail], ...] = (
        Column("ID", lambda mail: mail.id, right=True),
        Column("TO", lambda mail: mail.email),
        Column("ABOUT", preview.subject, fit=Fit.FOLD),
        Column("WRITTEN", lambda mail: ago(mail.created_at, now), fit=Fit.WHOLE),
        Column("STATE", lambda mail: mail.state, fit=Fit.WHOLE),
        Column("", lambda mail: _result(mail, now), fit=Fit.FOLD),
    )
    more = limit is not None and len(found) > limit
    empty = "No such mails." if args.state else "No mails yet."
    ctx.out.items(
        found[:limit],
        columns,
        narrow=(_narrow(columns, now, everybody=args.all),),
        record=_record,
        key=lambda mail: mail.id,
        empty=empty,
    )
    if more and ctx.out.for_people:
        ctx.out.note(f"The newest {limit}; --limit N shows more, -q and -o json show all.")
    if waiting.error and ctx.out.for_people:
        ctx.out.note(
            f"{human.count(waiting.waiting, 'mail')} waiting in total: {clean(waiting.error)}"
        )


def _result(mail: Mail, now: datetime) -> str:
    if mail.sent_at:
        return mail.sent_how or ""
    if mail.refused_at or not mail.last_error:
        return mail.last_error or ""
    return f"{mail.last_error} Next try {ago(mail.next_try, now)}"


def _narrow(
    columns: tuple[Column[Mail], ...], now: datetime, *, everybody: bool
) -> tuple[Column[Mail], ...]:
    """Return the columns for a narrow terminal: without one's own address and without file names."""
    rest = columns[:-1] if everybody else (columns[0], *columns[2:-1])
    return (*rest, Column("", lambda mail: _short_result(mail, now), fit=Fit.FOLD))


def _short_result(mail: Mail, now: datetime) -> str:
    result = _result(mail, now)
    return "as a file" if mail.sent_at and result.startswith("/") else result


def _record(mail: Mail) -> Record:
    from orchestra.mail import preview

    return {
        "id": mail.id,
        "to": mail.email,
        "user": mail.person,
        "about": preview.subject(mail),
        "kind": mail.kind,
        "task": mail.task_id,
        "state": mail.state,
        "created_at": mail.created_at,
        "sent_at": mail.sent_at,
        "sent_how": mail.sent_how,
        "next_try": None if mail.sent_at or mail.refused_at else mail.next_try,
        "tries": mail.tries,
        "error": mail.last_error,
        "message_id": mail.message_id,
    }


# show


def _show_arguments(parser: Parser) -> None:
    parser.add_argument("mail", type=whole, metavar="ID", help="ID in `mail list`")


def _show(ctx: Context) -> None:
    from orchestra.interface.mails import ShowMail
    from orchestra.mail import preview

    with ctx.interface() as ask:
        opened = ask(ShowMail(ctx.args.mail))

    def lines(mail: Mail) -> Iterator[str]:
        result = clean(_result(mail, datetime.now(UTC)))
        yield f"mail {mail.id} to {mail.email}   {mail.state}   {result}".rstrip()
        yield ""
        yield f"Subject: [Orchestra] {clean(preview.subject(mail))}"
        yield ""
        yield from preview.text(mail, opened.best, opened.report).rstrip().split("\n")

    ctx.out.item(opened.mail, lines, record=_record, key=lambda found: found.id)


# retry


def _retry_arguments(parser: Parser) -> None:
    parser.add_argument(
        "mail",
        type=whole,
        nargs="*",
        metavar="ID",
        help="IDs of the mails (default: all refused ones)",
    )
    parser.add_argument(
        "-a", "--all", action="store_true", help="the mails of all users (admins only)"
    )


def _retry(ctx: Context) -> None:
    from orchestra.interface.mails import RetryMails

    with ctx.interface() as ask:
        again = ask(RetryMails(tuple(ctx.args.mail), everybody=ctx.args.all))
    if not again:
        due = f"{human.count(len(ctx.args.mail), 'mail')} will be sent as soon as a conductor is running"
        ctx.out.say(due if ctx.args.mail else "no mail was refused")
        return
    ctx.out.say(f"{human.count(len(again), 'mail')} will be sent within seconds")
    ctx.out.note("To see the result: maestro mail list")


# test


def _test_arguments(parser: Parser) -> None:
    parser.add_argument(
        "address", nargs="?", metavar="ADDRESS", help="recipient (default: your address)"
    )


def _test(ctx: Context) -> None:
    from orchestra.domain.naming import is_real_address
    from orchestra.wiring.interface import my_name
    from orchestra.wiring.mail import mail_settings, send_test_mail

    mail = mail_settings(ctx.settings)
    address = _address(ctx)
    if mail.transport.needs_real_address and not is_real_address(address):
        raise BadInput(
            f"no mail server can deliver to {address}, which was made of your login and the host name.",
            hint="maestro user set -e ADDRESS",
        )
    send_test_mail(mail, address, my_name(ctx.settings), say=ctx.out.say)


def _address(ctx: Context) -> str:
    from orchestra.domain.naming import check_email
    from orchestra.interface.me import Me

    if ctx.args.address:
        return check_email(ctx.args.address)
    try:
        with ctx.interface() as ask:
            me = ask(Me())
    except DatabaseUnavailable:
        if ctx.settings.email is None:
            raise
        return ctx.settings.email
    if not me.mail:
        ctx.out.note("Other mail to you is off; to turn it on: maestro user set --mail on")
    return me.email


VERBS = (
    Verb(
        "list",
        "show mails and whether they were sent",
        _list,
        _list_arguments,
        description="Show your mails, the newest first, and how each was sent or why it waits or was refused. A "
        "refused mail is not sent again until `mail retry`.",
        example="maestro mail list\nmaestro mail list -a --state refused",
        output=True,
    ),
    Verb(
        "show",
        "show the text of a mail",
        _show,
        _show_arguments,
        example="maestro mail show 3",
        output=True,
    ),
    Verb(
        "retry",
        "send refused or waiting mails now",
        _retry,
        _retry_arguments,
        description="Send mails now: all refused ones, or those that are named. A mail that was sent is not sent "
        "again.",
        example="maestro mail retry\nmaestro mail retry 3 4",
    ),
    Verb(
        "test",
        "send a test mail and report the result",
        _test,
        _test_arguments,
        description="Send one mail at once with this configuration, and report what happened and how to fix it. Other "
        "mails are sent by the conductor, with the configuration that it read when it started.",
        example="maestro mail test\nmaestro mail test ana@example.org",
    ),
)
