"""`maestro user`: users, and the tables of the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.output import Record
from orchestra.cli.registry import Verb, later
from orchestra.cli.table import Column, Fit
from orchestra.domain import user_limits
from orchestra.domain.errors import BadInput
from orchestra.domain.resources import WHOLE

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.users import User


def _create_arguments(parser: Parser) -> None:
    parser.add_argument("-n", "--name", required=True, metavar="NAME", help="the user's name")
    parser.add_argument("-e", "--email", required=True, metavar="ADDRESS", help="e-mail address")


def _create(ctx: Context) -> None:
    from orchestra.interface.user_changes import CreateUser

    with ctx.interface() as ask:
        user = ask(CreateUser(ctx.args.name, ctx.args.email))
    admin = ", an admin" if user.is_admin else ""
    ctx.out.item(
        user,
        lambda user: [f"user {user.name} ({user.email}){admin}"],
        record=user_record,
        key=lambda user: user.name,
    )


def _list_arguments(parser: Parser) -> None:
    parser.add_argument("-u", "--user", metavar="NAME", help="show only this user")


def _list(ctx: Context) -> None:
    from orchestra.interface.users import GetUser, ListUsers

    with ctx.interface() as ask:
        people = [ask(GetUser(ctx.args.user))] if ctx.args.user else ask(ListUsers())
    columns: tuple[Column[User], ...] = (
        Column("USER", lambda user: user.name),
        Column("EMAIL", lambda user: user.email),
        Column("MAIL", lambda user: "" if user.mail else "off"),
        Column("ADMIN", lambda user: "yes" if user.is_admin else ""),
        Column("SHARES", lambda user: f"{user.shares:g}", right=True),
        Column("LIMITS", lambda user: user_limits.in_words(user.limits)),
        Column("SINCE", lambda user: f"{user.created_at:%Y-%m-%d}", fit=Fit.WHOLE),
    )
    ctx.out.items(
        people,
        columns,
        record=user_record,
        key=lambda user: user.name,
        empty="No users yet: maestro user create -n NAME -e ADDRESS",
    )


def user_record(user: User) -> Record:
    return {
        "name": user.name,
        "email": user.email,
        "mail": user.mail,
        "admin": user.is_admin,
        "created_at": user.created_at,
        "shares": user.shares,
        "limits": {
            "cpus": user.limits.cpus,
            "gpus": None if user.limits.gpu_milli is None else user.limits.gpu_milli / WHOLE,
            "running": user.limits.running,
        },
    }


def _show_arguments(parser: Parser) -> None:
    parser.add_argument("-n", "--name", metavar="NAME", help="the user's name (default: you)")


def _show(ctx: Context) -> None:
    from orchestra.interface.me import Me
    from orchestra.interface.users import GetUser

    with ctx.interface() as ask:
        user = ask(GetUser(ctx.args.name or ask(Me()).name))
    ctx.out.item(user, _lines, record=user_record, key=lambda user: user.name)


def _lines(user: User) -> list[str]:
    return [
        f"{user.name} ({user.email}){', an admin' if user.is_admin else ''}",
        f"  mail    {'on' if user.mail else 'off'}",
        f"  shares  {user.shares:g}",
        f"  limits  {user_limits.in_words(user.limits) or 'none'}",
        f"  since   {user.created_at:%Y-%m-%d}",
    ]


def _set_arguments(parser: Parser) -> None:
    parser.add_argument("-n", "--name", metavar="NAME", help="the user's name (default: you)")
    parser.add_argument("-e", "--email", metavar="ADDRESS", help="e-mail address")
    parser.add_argument("--mail", choices=("on", "off"), help="whether to send mail")
    parser.add_argument(
        "--admin",
        choices=("on", "off"),
        help="whether the user is an admin (only admins can change it)",
    )


def _set(ctx: Context) -> None:
    from orchestra.interface.me import Me
    from orchestra.interface.user_changes import SetUser

    args = ctx.args
    if args.email is None and args.mail is None and args.admin is None:
        raise BadInput(
            "there is nothing to change.",
            hint="Use at least one of -e, --mail, --admin.",
        )
    mail, admin = _switch(args.mail), _switch(args.admin)
    with ctx.interface() as ask:
        me = ask(Me())
        user = ask(SetUser(args.name or me.name, email=args.email, mail=mail, admin=admin))
    rights = {None: "", True: "an admin; ", False: "not an admin; "}[admin]
    wanted = "mail is on" if user.mail else "mail is off"
    ctx.out.say(f"user {user.name} ({user.email}): {rights}{wanted}")
    if args.mail and user.name == me.name and ctx.settings.mail not in (None, args.mail):
        ctx.out.note(
            f'"mail" is {ctx.settings.mail} in {ctx.settings.origin("mail")}, which applies again at your next command.'
        )


def _switch(word: str | None) -> bool | None:
    return None if word is None else word == "on"


def _delete_arguments(parser: Parser) -> None:
    parser.add_argument("-n", "--name", required=True, metavar="NAME", help="the user's name")


def _delete(ctx: Context) -> None:
    from orchestra.interface.user_changes import DeleteUser

    with ctx.interface() as ask:
        ask(DeleteUser(ctx.args.name))
    ctx.out.say(f"user {ctx.args.name} deleted")


VERBS = (
    Verb(
        "init",
        "create or upgrade the tables in the database",
        later("orchestra.cli.local.user_init:run"),
        example="maestro user init",
    ),
    Verb(
        "create",
        "create a user",
        _create,
        _create_arguments,
        example="maestro user create -n ana -e ana@example.org",
        output=True,
    ),
    Verb(
        "set",
        "change the address, the mail setting or the rights of a user",
        _set,
        _set_arguments,
        example="maestro user set -e ana@example.org\nmaestro user set -n bob --mail off\n"
        "maestro user set -n bob --admin on",
    ),
    Verb(
        "list",
        "show the users",
        _list,
        _list_arguments,
        example="maestro user list\nmaestro user list -o json",
        output=True,
    ),
    Verb(
        "show",
        "show a user with their shares and limits",
        _show,
        _show_arguments,
        example="maestro user show\nmaestro user show -n ana",
        output=True,
    ),
    Verb(
        "limit",
        "limit what the running jobs of a user take together; set the user's shares",
        later("orchestra.cli.user_limit:limit"),
        later("orchestra.cli.user_limit:limit_arguments"),
        example="maestro user limit -n ana --cpus 40 --gpus 4 --running 500\nmaestro user limit -n ana --gpus none\n"
        "maestro user limit -n ana --shares 2",
        output=True,
    ),
    Verb(
        "delete",
        "delete a user who has no tasks or data sets",
        _delete,
        _delete_arguments,
        example="maestro user delete -n ana",
    ),
    Verb(
        "token",
        "make a token, for a program or another machine",
        later("orchestra.cli.user_tokens:create"),
        later("orchestra.cli.user_tokens:create_arguments"),
        example="maestro user token\nmaestro user token --expires 30d --label laptop\n"
        "maestro user token -n bob --expires 1d",
        output=True,
    ),
    Verb(
        "tokens",
        "show tokens",
        later("orchestra.cli.user_tokens:show"),
        later("orchestra.cli.user_tokens:list_arguments"),
        example="maestro user tokens\nmaestro user tokens -a -o json",
        output=True,
    ),
    Verb(
        "revoke",
        "revoke tokens; browsers that signed in with them are signed out",
        later("orchestra.cli.user_tokens:revoke"),
        later("orchestra.cli.user_tokens:revoke_arguments"),
        example="maestro user revoke 3",
    ),
)
