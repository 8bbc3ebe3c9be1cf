"""`maestro pool show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra.cli.output import Record, ago, clean, local
from orchestra.cli.pool_record import allocation_record, pool_record
from orchestra.command_words import worded
from orchestra.domain.human import count, duration, listed
from orchestra.domain.pools import pool_text
from orchestra.domain.pools.allocation_text import life_of, wait_of

if TYPE_CHECKING:
    from datetime import datetime

    from orchestra.cli.context import Context
    from orchestra.domain.models.pools import Allocation, Pool
    from orchestra.interface.answers.pools import PoolReport


def show(ctx: Context) -> None:
    from orchestra.interface.pools import ShowPool

    with ctx.interface() as ask:
        report = ask(ShowPool(ctx.args.name, ctx.args.last))
    if ctx.args.script:
        _show_script(ctx, report.pool)
        return
    ctx.out.item(report, _lines, record=_record, key=lambda report: report.pool.name)


def _show_script(ctx: Context, pool: Pool) -> None:
    from orchestra.wiring.submissions import script

    ctx.out.item(
        script(ctx.settings, pool),
        lambda text: text.splitlines(),
        record=lambda text: {"pool": pool.name, "script": text},
        key=lambda _: pool.name,
    )


def _record(report: PoolReport) -> Record:
    return {
        **pool_record(report.pool, report.now),
        "ended": [allocation_record(each) for each in report.ended],
    }


def _lines(report: PoolReport) -> Iterator[str]:
    pool, now = report.pool, report.now
    yield f"{pool.name}   {pool_text.state_of(pool, now)}"
    yield from _settings(pool)
    for sentence in pool_text.obstacles(pool, now):
        yield f"  !          {clean(worded(sentence))}"
    if pool.decision and pool.decided_at:
        yield f"  decided    {clean(pool.decision.why)} ({ago(pool.decided_at, now)})"
    yield from _allocations("running", pool_text.running(pool), now)
    yield from _allocations("pending", pool_text.pending(pool), now)
    yield from _allocations("ended", list(report.ended), now)


def _settings(pool: Pool) -> Iterator[str]:
    spec, limits = pool.spec, pool.limits
    yield f"  owner      {pool.owner or 'the admins'}"
    engine = clean(pool_text.choices_in_words(spec)) or "its defaults"
    yield f"  engine     {pool.engine}: {engine}"
    yield f"  each       {pool_text.size_in_words(spec)}, for the queue {spec.queue}"
    if spec.sbatch:
        yield f"  sbatch     {clean(' '.join(spec.sbatch))}"
    yield f"  limits     {pool_text.limits_in_words(limits)}"
    yield (
        f"  comes      one pilot more for each {duration(limits.min_work)} of work; "
        f"leaves after {duration(limits.idle)} without a job"
    )
    if pool.run_by:
        whose = (
            "everybody's jobs" if pool.serves_all else f"jobs of the Unix account {pool.account}"
        )
        yield f"  run by     {clean(pool.run_by)}, for {whose}"


def _allocations(title: str, allocations: list[Allocation], now: datetime) -> Iterator[str]:
    """Yield a line for each allocation, with the engine's own words."""
    for at, each in enumerate(allocations):
        head = title if not at else ""
        yield f"  {head:<10} {clean(_allocation(each, now))}"


def _allocation(each: Allocation, now: datetime) -> str:
    missing = "never accepted" if each.ended_at else "not accepted yet"
    parts = [each.engine_id or missing, each.state.value.lower()]
    said = [word for word in (each.word, each.reason) if word and word != "None"]
    parts += (
        [f'the engine {"said" if each.ended_at else "says"} "{listed(said)}"']
        if said and not each.pilots
        else []
    )
    parts += [life_of(each, now) or wait_of(each, now)]
    parts += [listed(each.pilots, most=3)] if each.pilots else []
    parts += [count(each.running, "job")] if each.running else []
    parts += [f"until {local(each.ends_at)}"] if each.ends_at and not each.ended_at else []
    return ", ".join(filter(None, parts))
