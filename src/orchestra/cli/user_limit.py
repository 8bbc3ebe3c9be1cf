"""`maestro user limit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import at_least
from orchestra.cli.user import user_record
from orchestra.domain import user_limits
from orchestra.domain.errors import BadInput
from orchestra.domain.models.users import NewLimits, UserLimit

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.users import User

_REMOVED = -1


def _or_none(parse: Callable[[str], int]) -> Callable[[str], int]:
    return lambda text: _REMOVED if text.strip().lower() == "none" else parse(text)


def _shares(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f'--shares needs a number above 0, not "{text}".') from None


def limit_arguments(parser: Parser) -> None:
    """Add the arguments of `user limit`."""
    parser.add_argument("-n", "--name", required=True, metavar="NAME", help="the user's name")
    parser.add_argument(
        "--cpus",
        type=_or_none(at_least("--cpus", 0)),
        metavar="N|none",
        help="CPU slots of the user's running jobs together",
    )
    parser.add_argument(
        "--gpus",
        type=_or_none(user_limits.parse_gpus),
        metavar="N|none",
        help="GPUs of the user's running jobs together, such as 4 or 0.5",
    )
    parser.add_argument(
        "--running",
        type=_or_none(at_least("--running", 0)),
        metavar="N|none",
        help="number of jobs of the user that run at a time",
    )
    parser.add_argument(
        "--shares",
        type=_shares,
        metavar="N",
        help="with twice the shares, a user gets twice as much of the nodes (default 1)",
    )


def limit(ctx: Context) -> None:
    """Change the limits and shares of a user."""
    from orchestra.interface.user_changes import LimitUser

    args = ctx.args
    given = {UserLimit.CPUS: args.cpus, UserLimit.GPUS: args.gpus, UserLimit.RUNNING: args.running}
    if args.shares is None and all(value is None for value in given.values()):
        raise BadInput(
            "there is nothing to change.",
            hint="Use at least one of --cpus, --gpus, --running, --shares.",
        )
    kept = {limit: None if value == _REMOVED else value for limit, value in given.items()}
    new = NewLimits(
        cpus=kept[UserLimit.CPUS],
        gpu_milli=kept[UserLimit.GPUS],
        running=kept[UserLimit.RUNNING],
        shares=args.shares,
        removed=tuple(limit for limit, value in given.items() if value == _REMOVED),
    )
    with ctx.interface() as ask:
        user = ask(LimitUser(args.name, new))
    ctx.out.item(user, _lines, record=user_record, key=lambda user: user.name)


def _lines(user: User) -> list[str]:
    limits = user_limits.in_words(user.limits)
    most = f"at most {limits} at a time" if limits else "no limits"
    return [f"user {user.name}: {most}; {user_limits.shares_in_words(user.shares)}"]
