"""`maestro pool dry-run`: what would be decided now, and from what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra.cli.output import Record, clean
from orchestra.cli.pool_record import allocation_record, decision_record
from orchestra.command_words import worded
from orchestra.domain.human import count, duration
from orchestra.domain.pools import pool_text

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.interface.answers.pools import PoolPlan


def dry_run(ctx: Context) -> None:
    from orchestra.interface.pools import PlanPool
    from orchestra.wiring.submissions import refusal

    with ctx.interface() as ask:
        plan = ask(PlanPool(ctx.args.name))
    refused = refusal(ctx.settings, plan.pool)
    says = refused.words if refused else ""
    ctx.out.item(
        plan,
        lambda plan: _lines(plan, says),
        record=lambda plan: _record(plan, says),
        key=lambda plan: plan.decision.submit,
    )


def _lines(plan: PoolPlan, says: str) -> Iterator[str]:
    pool = plan.pool
    yield _decision(plan)
    for sentence in pool_text.obstacles(pool, plan.now):
        yield f"  !          {clean(worded(sentence))}"
    if says:
        yield f"  !          {clean(says)}"
    for load in plan.loads:
        time = "unknown time" if load.typical is None else duration(load.typical)
        yield (
            f"  waiting    {count(load.jobs, 'job')} of task {load.task}, {time} each, {load.fit} at a time in an "
            "allocation"
        )
    if not plan.loads:
        yield "  waiting    no job that its pilots could run and for which nothing is free"
    counts = pool_text.counts(pool)
    yield f"  there      {counts.running} running and {counts.pending} pending of at most {counts.most}"
    if plan.serving:
        yield f"  serving    nodes with room for such jobs like that of {plan.serving:.1f} allocations"
    if plan.wait is not None:
        yield f"  queue      allocations waited {duration(plan.wait)} lately"


def _decision(plan: PoolPlan) -> str:
    decision, name = plan.decision, plan.pool.name
    would = []
    if decision.submit:
        would.append(f"submit {count(decision.submit, 'allocation')}")
    if decision.withdraw:
        would.append(f"withdraw {count(len(decision.withdraw), 'pending allocation')}")
    return f"{name} would {' and '.join(would) or 'do nothing'} now: {clean(decision.why)}"


def _record(plan: PoolPlan, says: str) -> Record:
    return {
        "pool": plan.pool.name,
        "decision": decision_record(plan.decision),
        "engine_says": says or None,
        "waiting": [
            {
                "task_id": load.task,
                "jobs": load.jobs,
                "jobs_per_allocation": load.fit,
                "typical_seconds": load.typical,
            }
            for load in plan.loads
        ],
        "allocations": [allocation_record(each) for each in plan.pool.live],
        "serving": plan.serving,
        "queue_seconds": plan.wait,
    }
