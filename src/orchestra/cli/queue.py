"""`maestro queue`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.output import Record
from orchestra.cli.registry import Verb
from orchestra.cli.table import Column, Fit
from orchestra.command_words import worded
from orchestra.domain import human, user_limits
from orchestra.domain.order_text import RULE
from orchestra.domain.plain_json import to_json
from orchestra.domain.resources import WHOLE

if TYPE_CHECKING:
    from datetime import datetime

    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.queues import ReservedNode
    from orchestra.interface.answers.order import QueueOrder, TaskInOrder, UserInOrder


def _arguments(parser: Parser) -> None:
    parser.add_argument("--queue", choices=("cpu", "gpu"), help="only the tasks of this queue")


def _show(ctx: Context) -> None:
    """Show the order of waiting jobs."""
    from orchestra.interface.queues import ShowOrder

    with ctx.interface() as ask:
        order = ask(ShowOrder())
    tasks = [task for task in order.tasks if ctx.args.queue in (None, task.queue)]
    if ctx.out.form == "json":
        print(to_json(_record(order, tasks)))
    elif ctx.out.quiet:
        ctx.out.items(tasks, (), record=_task, key=lambda task: task.id, empty="")
    else:
        _tables(ctx, order, tasks)


def _tables(ctx: Context, order: QueueOrder, tasks: list[TaskInOrder]) -> None:
    if not order.users:
        ctx.out.note("No job runs or waits.")
        return
    ctx.out.table(order.users, _USERS)
    if tasks:
        ctx.out.say("")
        ctx.out.table(tasks, _TASKS, (_FEWER,))
    if order.reserved:
        ctx.out.say("")
        ctx.out.table(order.reserved, _reserved(order.now))
    if not order.conductor:
        ctx.out.note("There is no conductor at present, so the order does not change.")
    ctx.out.note(RULE)


_USERS: tuple[Column[UserInOrder], ...] = (
    Column("USER", lambda user: user.name),
    Column("SCORE", lambda user: f"{user.score:.1f}", right=True),
    Column("IN USE", lambda user: f"{user.in_use:.1f}", right=True),
    Column("LATELY", lambda user: f"{user.lately:.1f}", right=True),
    Column("SHARES", lambda user: f"{user.shares:g}", right=True),
    Column("RUNNING", lambda user: user.running, right=True),
    Column("WAITING", lambda user: user.waiting, right=True),
    Column("LIMITS", lambda user: user_limits.in_words(user.limits)),
)
_FEWER: tuple[Column[TaskInOrder], ...] = (
    Column("PLACE", lambda task: task.place or "-", right=True),
    Column("ID", lambda task: task.id, right=True),
    Column("TASK", lambda task: task.name, fit=Fit.START),
    Column("QUEUE", lambda task: task.queue.value),
    Column("WAITING", lambda task: task.waiting, right=True),
    Column("WHY THERE", lambda task: worded(task.why), fit=Fit.FOLD),
)
_TASKS: tuple[Column[TaskInOrder], ...] = (
    *_FEWER[:4],
    Column("OWNER", lambda task: task.owner),
    _FEWER[4],
    Column("RUNNING", lambda task: task.running, right=True),
    Column("PRIORITY", lambda task: task.priority, right=True, spare="0"),
    _FEWER[5],
)


def _reserved(now: datetime) -> tuple[Column[ReservedNode], ...]:
    def starts(each: ReservedNode) -> str:
        if each.starts_at is None:
            return "unknown"
        return human.relative(max(0.0, (each.starts_at - now).total_seconds()))

    return (
        Column("NODE", lambda each: each.node),
        Column("WAITS FOR", lambda each: f"task {each.task} ({each.task_name})", fit=Fit.START),
        Column("OWNER", lambda each: each.owner),
        Column("STARTS", starts, fit=Fit.WHOLE),
        Column(
            "SINCE", lambda each: human.about((now - each.since).total_seconds()), fit=Fit.WHOLE
        ),
        Column("LEFT BESIDE IT", _spare),
    )


def _spare(each: ReservedNode) -> str:
    left = [human.count(each.spare_cpus, "CPU slot")]
    left += [user_limits.gpus(each.spare_gpu_milli)] if each.spare_gpu_milli else []
    return ", ".join(left)


def _record(order: QueueOrder, tasks: list[TaskInOrder]) -> Record:
    return {
        "now": order.now,
        "conductor": order.conductor,
        "users": [_user(user) for user in order.users],
        "tasks": [_task(task) for task in tasks],
        "reserved": [_node(each) for each in order.reserved],
    }


def _user(user: UserInOrder) -> Record:
    milli = user.limits.gpu_milli
    return {
        "name": user.name,
        "score": round(user.score, 3),
        "in_use": round(user.in_use, 3),
        "lately": round(user.lately, 3),
        "shares": user.shares,
        "running": user.running,
        "waiting": user.waiting,
        "limits": {
            "cpus": user.limits.cpus,
            "gpus": None if milli is None else milli / WHOLE,
            "running": user.limits.running,
        },
    }


def _task(task: TaskInOrder) -> Record:
    return {
        "place": task.place,
        "queue": task.queue,
        "id": task.id,
        "name": task.name,
        "owner": task.owner,
        "priority": task.priority,
        "running": task.running,
        "waiting": task.waiting,
        "why": worded(task.why),
        "starts_at": task.starts_at,
    }


def _node(each: ReservedNode) -> Record:
    return {
        "node": each.node,
        "task": each.task,
        "task_name": each.task_name,
        "owner": each.owner,
        "since": each.since,
        "starts_at": each.starts_at,
        "spare": {
            "cpus": each.spare_cpus,
            "gpus": each.spare_gpu_milli / WHOLE,
            "memory_bytes": each.spare_memory,
        },
    }


VERBS = (
    Verb(
        "queue",
        "show who is next, and why",
        _show,
        _arguments,
        example="maestro queue\nmaestro queue --queue gpu\nmaestro queue -o json",
        output=True,
        description="Show in which order waiting jobs start, and why: what users use for their shares, the tasks in "
        "the order of each queue, and the nodes that wait for jobs that fit on none now.",
    ),
)
