"""`maestro pool create` and the other changes of pools."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.cli.pool_check import check_change, check_new
from orchestra.cli.pool_options import name_argument, setting_arguments, settings_of
from orchestra.cli.pool_record import pool_record
from orchestra.domain import human
from orchestra.domain.errors import BadInput, Cancelled
from orchestra.domain.pools import pool_text

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.pools import AtStake, Pool
    from orchestra.interface.operation import Interface


def create_arguments(parser: Parser) -> None:
    name_argument(parser)
    parser.add_argument(
        "--engine",
        required=True,
        metavar="NAME",
        help="what starts its pilots: slurm, or local for processes of this machine",
    )
    setting_arguments(parser)


def create(ctx: Context) -> None:
    from orchestra.interface.pool_changes import CreatePool

    settings = settings_of(ctx)
    check_new(ctx, ctx.args.name, ctx.args.engine, settings)
    with ctx.interface() as ask:
        pool = ask(CreatePool(ctx.args.name, ctx.args.engine, settings))
    ctx.out.item(
        pool,
        lambda pool: [_in_a_line(pool)],
        record=lambda pool: pool_record(pool, datetime.now(UTC)),
        key=lambda pool: pool.name,
    )
    if ctx.out.for_people:
        where = (
            "where sbatch is" if pool.engine == "slurm" else "on the machine that is to run jobs"
        )
        ctx.out.note(
            f"Its pilots come and go once a process runs it, {where}: maestro pool run {pool.name}"
        )


def _in_a_line(pool: Pool) -> str:
    asked = [pool_text.size_in_words(pool.spec), pool_text.choices_in_words(pool.spec)]
    limits = pool_text.limits_in_words(pool.limits)
    what = ", ".join(filter(None, asked))
    return f"pool {pool.name}: {what}; {limits}, for the queue {pool.spec.queue}"


def set_arguments(parser: Parser) -> None:
    name_argument(parser)
    setting_arguments(parser)
    parser.add_argument("--owner", metavar="USER", help="give the pool to this user, paused")


def set_(ctx: Context) -> None:
    from orchestra.domain.models.pools import PoolSettings
    from orchestra.interface.pool_changes import SetPool
    from orchestra.interface.pools import ShowPool

    settings, owner = settings_of(ctx), ctx.args.owner
    if settings == PoolSettings() and owner is None:
        raise BadInput(
            "there is nothing to change.", hint="maestro pool set --help lists what can be changed."
        )
    with ctx.interface() as ask:
        check_change(ctx, ask(ShowPool(ctx.args.name, 0)).pool, settings)
        pool = ask(SetPool(ctx.args.name, settings, owner))
    ctx.out.say(_in_a_line(pool) + (f"; it belongs to user {owner}" if owner else ""))
    if pool.live and settings != PoolSettings():
        stay = "stays as it is" if len(pool.live) == 1 else "stay as they are"
        many = human.count(len(pool.live), "allocation")
        ctx.out.note(f"Its {many} {stay}; the next ones are like this.")
    if pool.paused_at:
        ctx.out.note(f"It is paused: maestro pool resume {pool.name}")


def pause_arguments(parser: Parser) -> None:
    name_argument(parser)
    parser.add_argument("-r", "--reason", metavar="TEXT", help="why, for people")


def pause(ctx: Context) -> None:
    from orchestra.interface.pool_changes import PausePool

    with ctx.interface() as ask:
        pool = ask(PausePool(ctx.args.name, ctx.args.reason))
    ctx.out.say(f"pool {pool.name}: paused")
    running, pending = pool_text.running(pool), pool_text.pending(pool)
    if pending:
        ctx.out.note(f"{human.count(len(pending), 'pending allocation')} will be withdrawn.")
    if running:
        ctx.out.note(f"{human.count(len(running), 'running allocation')} will go on.")


def resume(ctx: Context) -> None:
    from orchestra.interface.pool_changes import ResumePool

    name = ctx.args.name
    with ctx.interface() as ask:
        held_back = ask(ResumePool(name))
    ctx.out.say(f"pool {name}: " + ("resumed" if held_back else "nothing held it back"))


def delete_arguments(parser: Parser) -> None:
    name_argument(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--drain", action="store_true", help="let running jobs end first; pilots take no new ones"
    )
    how.add_argument(
        "--now", action="store_true", help="end its allocations; their jobs run again elsewhere"
    )
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask before --now ends jobs"
    )


def delete(ctx: Context) -> None:
    from orchestra.interface.pool_changes import DeletePool

    name = ctx.args.name
    with ctx.interface() as ask:
        if ctx.args.now:
            _confirm(ctx, ask)
        left = ask(DeletePool(name, "now" if ctx.args.now else "drain" if ctx.args.drain else None))
    if left is None:
        ctx.out.say(f"pool {name}: deleted")
        return
    many = human.count(len(left.live), "allocation")
    how = (
        f"it ends {many} now"
        if left.deletion == "now"
        else f"{many} of it may end their jobs first"
    )
    ctx.out.say(f"pool {name}: is being deleted; {how}")
    if left.run_by is None:
        ctx.out.note(f"No process runs it, so nothing happens before: maestro pool run {name}")


def _confirm(ctx: Context, ask: Interface) -> None:
    """Ask before allocations are ended, with what is at stake.

    Raises:
        BadInput: there is no terminal to ask at.
        Cancelled: the answer is no.
    """
    from orchestra.interface.pool_changes import AllocationsAtStake

    stake = ask(AllocationsAtStake(ctx.args.name))
    if not (stake.running or stake.pending):
        return
    question = f"End {in_words(stake)}, and delete pool {ctx.args.name}?"
    if not ctx.out.ask(question, yes=ctx.args.yes):
        raise Cancelled


def in_words(stake: AtStake) -> str:
    """Return what a deletion would end: `2 running allocations with 7 jobs and 1 pending allocation`."""
    parts = []
    if stake.running:
        jobs = f" with {human.count(stake.jobs, 'running job')}" if stake.jobs else ""
        parts.append(f"{human.count(stake.running, 'running allocation')}{jobs}")
    if stake.pending:
        parts.append(human.count(stake.pending, "pending allocation"))
    return human.listed(parts)
