"""`maestro task list` and `task queue`."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from orchestra.cli.output import Column, Record
from orchestra.cli.task_record import task_record
from orchestra.domain import human
from orchestra.domain.states import Figure, Queue

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.estimates import Estimate
    from orchestra.domain.models.queues import QueuedJob
    from orchestra.interface.answers.queues import QueueReport
    from orchestra.interface.answers.tasks import TaskLine
    from orchestra.interface.operation import Interface


def list_arguments(parser: Parser) -> None:
    """Add the arguments of `task list`."""
    parser.add_argument("-u", "--user", metavar="NAME", help="this user's instead of mine")
    parser.add_argument("-a", "--all", action="store_true", help="everybody's, DONE ones as well")
    parser.add_argument(
        *("-i", "--watch"), dest="watch", action="store_true", help="again and again, until Ctrl-C"
    )


def list_tasks(ctx: Context) -> None:
    """Show tasks with the number of their jobs in each state."""
    from orchestra.interface.me import Me
    from orchestra.interface.tasks import ListTasks

    args = ctx.args

    def look(ask: Interface) -> tuple[TaskLine, ...]:
        me = ask(Me()).name
        return ask(ListTasks(args.user or (None if args.all else me), every=args.all))

    def show(lines: tuple[TaskLine, ...]) -> None:
        ctx.out.items(
            lines,
            _COLUMNS,
            narrow=_NARROW_COLUMNS,
            record=_list_record,
            key=lambda line: line.task.id,
            empty="No tasks that are not done: maestro task list -a shows all. To make one: "
            "maestro task create --help"
            if not args.all
            else "No tasks yet: maestro task create --help",
        )

    if args.watch:
        from orchestra.cli import watch

        watch.watch(ctx, look, show)
        return
    with ctx.interface() as ask:
        found = look(ask)
    show(found)


def _figure(figure: Figure) -> Column[TaskLine]:
    return Column(figure.upper(), attrgetter(f"task.counts.{figure}"), right=True, spare="0")


_COLUMNS: tuple[Column[TaskLine], ...] = (
    Column("ID", lambda line: line.task.id, right=True),
    Column("TASK", lambda line: line.task.name),
    Column("QUEUE", lambda line: line.task.queue.value, spare="cpu"),
    *(_figure(figure) for figure in Figure),
    Column("STATE", lambda line: line.task.state.value, state=True),
    Column("ENDS", lambda line: _ends_words(line.ends), spare="-"),
)


def _ends_words(ends: Estimate) -> str:
    return human.relative(ends.seconds) if ends.seconds is not None else ends.words or "-"


def _jobs_words(line: TaskLine) -> str:
    counts = line.task.counts
    return ", ".join(f"{human.number(counts[each])} {each}" for each in Figure if counts[each])


# Where nine columns of counts have no room, those that are none are not told.
_NARROW_COLUMNS: tuple[Column[TaskLine], ...] = (
    Column("ID", lambda line: line.task.id, right=True),
    Column("TASK", lambda line: line.task.name, whole=True),
    Column("STATE", lambda line: line.task.state.value, state=True),
    Column("JOBS", _jobs_words),
    Column("ENDS", lambda line: _ends_words(line.ends), spare="-"),
)


def _list_record(line: TaskLine) -> Record:
    return {
        **task_record(line.task),
        "ends_in_seconds": line.ends.seconds,
    }


def queue_arguments(parser: Parser) -> None:
    """Add the arguments of `task queue`."""
    parser.add_argument(
        *("-n", "--name"), choices=("cpu", "gpu"), default="cpu", help="which queue (default cpu)"
    )


def show_queue(ctx: Context) -> None:
    """Show what runs on a queue, and the next ten jobs that wait."""
    from orchestra.interface.queues import ShowQueue

    with ctx.interface() as ask:
        report = ask(ShowQueue(Queue(ctx.args.name)))
    rows = [(job, "running" if job.started_at else "starting") for job in report.running]
    rows += [(job, "waiting") for job in report.waiting]
    ctx.out.items(
        rows,
        _queue_columns(report),
        record=lambda row: _queue_record(*row),
        key=lambda row: f"{row[0].task_id}/{row[0].ordinal}",
        empty=f"Nothing runs or waits on queue {report.queue}.",
    )


def _queue_columns(report: QueueReport) -> tuple[Column[tuple[QueuedJob, str]], ...]:
    def since(job: QueuedJob) -> str:
        return human.about((report.now - job.started_at).total_seconds()) if job.started_at else ""

    return (
        Column("JOB", lambda row: f"{row[0].task_id}/{row[0].ordinal}"),
        Column("TASK", lambda row: row[0].task),
        Column("STATE", lambda row: row[1], state=True),
        Column("TEST", lambda row: "test" if row[0].is_test else ""),
        Column("NODE", lambda row: row[0].node or ""),
        Column("FOR", lambda row: since(row[0]), right=True),
    )


def _queue_record(job: QueuedJob, state: str) -> Record:
    return {
        "task_id": job.task_id,
        "ordinal": job.ordinal,
        "task": job.task,
        "owner": job.owner,
        "state": state,
        "is_test": job.is_test,
        "node": job.node,
        "started_at": job.started_at,
    }
