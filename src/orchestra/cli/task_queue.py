"""`maestro task queue`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.output import Record
from orchestra.cli.table import Column, Fit
from orchestra.domain import human
from orchestra.domain.states import Queue

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.queues import QueuedJob
    from orchestra.interface.answers.queues import QueueReport


def queue_arguments(parser: Parser) -> None:
    """Add the arguments of `task queue`."""
    parser.add_argument(
        *("-n", "--name"), choices=("cpu", "gpu"), default="cpu", help="which queue (default cpu)"
    )


def show_queue(ctx: Context) -> None:
    """Show the jobs that run on a queue, and the next ten."""
    from orchestra.interface.queues import ShowQueue

    with ctx.interface() as ask:
        report = ask(ShowQueue(Queue(ctx.args.name)))
    rows = [(job, "running" if job.started_at else "starting") for job in report.running]
    rows += [(job, "waiting") for job in report.waiting]
    ctx.out.items(
        rows,
        _queue_columns(report),
        record=lambda row: _queue_record(*row),
        key=lambda row: f"{row[0].task_id}/{row[0].index}",
        empty=f"No job runs or waits on queue {report.queue}.",
    )


def _queue_columns(report: QueueReport) -> tuple[Column[tuple[QueuedJob, str]], ...]:
    def since(job: QueuedJob) -> str:
        return human.about((report.now - job.started_at).total_seconds()) if job.started_at else ""

    return (
        Column("JOB", lambda row: f"{row[0].task_id}/{row[0].index}", fit=Fit.WHOLE),
        Column("TASK", lambda row: row[0].task, fit=Fit.START),
        Column("STATE", lambda row: row[1], state=True),
        Column("TEST", lambda row: "test" if row[0].is_test else ""),
        Column("NODE", lambda row: row[0].node or ""),
        Column("FOR", lambda row: since(row[0]), right=True),
    )


def _queue_record(job: QueuedJob, state: str) -> Record:
    return {
        "task_id": job.task_id,
        "ordinal": job.index,
        "task": job.task,
        "owner": job.owner,
        "state": state,
        "is_test": job.is_test,
        "node": job.node,
        "started_at": job.started_at,
    }
