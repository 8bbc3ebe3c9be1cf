"""`maestro user token`, `tokens` and `revoke`: personal tokens for a server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.cli.output import Record, ago
from orchestra.cli.table import Column, Fit

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.credentials import NewToken, Token


def create_arguments(parser: Parser) -> None:
    """Add the options of `user token`."""
    from orchestra.cli.argument_types import Amount

    parser.add_argument("-n", "--name", metavar="NAME", help="whose token it is (default: yours)")
    parser.add_argument(
        "--expires",
        action=Amount,
        metavar="TIME",
        help="how long it works, such as 12h or 30d (default: until it is revoked)",
    )
    parser.add_argument("--label", default="", metavar="TEXT", help="what it is for")
    parser.add_argument(
        "--no-admin", action="store_true", help="leave out the rights of an admin, if you are one"
    )


def create(ctx: Context) -> None:
    """Make a token and print its secret, which is shown this one time."""
    from orchestra.cli.argument_types import unit_notes
    from orchestra.interface.tokens import CreateToken

    args = ctx.args
    for note in unit_notes(args):
        ctx.out.note(note)
    asked = CreateToken(args.name, args.label, args.expires, admin=not args.no_admin)
    with ctx.interface() as ask:
        made = ask(asked)
    if ctx.out.for_people:
        ctx.out.note(*_about(made.token))
    ctx.out.item(
        made, lambda made: [made.secret], record=_secret_record, key=lambda made: made.secret
    )


def _about(token: Token) -> list[str]:
    """Say what a new token is, and what to do with it."""
    rights = ", with the rights of an admin" if token.admin else ""
    until = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "until revoked"
    account = f'the account "{token.account}"' if token.account else "no Unix account"
    pilots = "" if token.account else ", so only pilots that serve all accounts run them"
    return [
        f"token {token.id} of user {token.user}{rights}, works {until}: maestro user revoke {token.id}",
        f"Tasks that are created with it belong to {account}{pilots}.",
        'Keep it as "token", beside "server", in a ~/.orchestra.json that only you can read. It is shown only now:',
    ]


def _secret_record(made: NewToken) -> Record:
    return {**_record(made.token), "token": made.secret}


def list_arguments(parser: Parser) -> None:
    """Add the options of `user tokens`."""
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("-u", "--user", metavar="NAME", help="this user's tokens (for admins)")
    whose.add_argument(
        "-a", "--all", action="store_true", help="the tokens of all users (for admins)"
    )


def show(ctx: Context) -> None:
    """Print tokens."""
    from orchestra.interface.tokens import ListTokens

    with ctx.interface() as ask:
        found = ask(ListTokens(ctx.args.user, everybody=ctx.args.all))
    now = datetime.now(UTC)
    columns: tuple[Column[Token], ...] = (
        Column("ID", lambda token: token.id, right=True),
        Column("USER", lambda token: token.user),
        Column("TOKEN", lambda token: f"{token.start}...", fit=Fit.WHOLE),
        Column("LABEL", lambda token: token.name),
        Column("ADMIN", lambda token: "yes" if token.admin else ""),
        Column("ACCOUNT", lambda token: token.account or ""),
        Column("MADE", lambda token: f"{token.created_at:%Y-%m-%d}", fit=Fit.WHOLE),
        Column("USED", lambda token: ago(token.last_used_at) if token.last_used_at else "never"),
        Column("ENDS", lambda token: _end(token, now), fit=Fit.WHOLE),
    )
    ctx.out.items(
        found,
        columns,
        record=_record,
        key=lambda token: token.id,
        empty="No tokens yet: maestro user token makes one.",
    )


def _end(token: Token, now: datetime) -> str:
    if token.revoked_at:
        return "revoked"
    if token.expires_at is None:
        return ""
    return ago(token.expires_at, now) if token.works(now) else "expired"


def _record(token: Token) -> Record:
    return {
        "id": token.id,
        "user": token.user,
        "label": token.name,
        "start": token.start,
        "admin": token.admin,
        "account": token.account,
        "host": token.host,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "revoked_at": token.revoked_at,
    }


def revoke_arguments(parser: Parser) -> None:
    """Add the arguments of `user revoke`."""
    from orchestra.cli.argument_types import whole

    parser.add_argument("tokens", nargs="+", type=whole, metavar="ID", help="numbers of tokens")


def revoke(ctx: Context) -> None:
    """Revoke tokens."""
    from orchestra.interface.tokens import RevokeToken

    with ctx.interface() as ask:
        for number in ctx.args.tokens:
            token = ask(RevokeToken(number))
            ctx.out.say(f"token {token.id} ({token.start}...) of user {token.user} revoked")
