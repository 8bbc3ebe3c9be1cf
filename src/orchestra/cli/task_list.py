"""`maestro task list`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestra.cli.output import Record
from orchestra.cli.table import Column, Fit
from orchestra.cli.task_record import task_record
from orchestra.domain import human
from orchestra.domain.progress import bar
from orchestra.domain.states import JobStatus

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.interface.answers.tasks import TaskLine
    from orchestra.interface.operation import Interface

_BAR = 10
_GROUPS = {
    "waiting": (JobStatus.REGISTERED, JobStatus.ASSIGNED),
    "running": (JobStatus.TESTING, JobStatus.RUNNING, JobStatus.KILL),
    "failed": (JobStatus.FAILED,),
    "killed": (JobStatus.KILLED,),
    "broken": (JobStatus.BROKEN,),
    "done": (JobStatus.DONE,),
}
"""The states that a count of the overview adds up."""
_ALWAYS = ("waiting", "running", "failed", "done")
_SHORT = {"waiting": "WAIT", "running": "RUN", "failed": "FAIL"}


def list_arguments(parser: Parser) -> None:
    """Add the arguments of `task list`."""
    parser.add_argument("-u", "--user", metavar="NAME", help="show the tasks of this user")
    parser.add_argument(
        "-a", "--all", action="store_true", help="show the tasks of all users, DONE ones included"
    )
    parser.add_argument(
        "--counts", action="store_true", help="show a column for each state that a job can have"
    )
    parser.add_argument(
        *("-i", "--watch"), dest="watch", action="store_true", help="refresh until Ctrl-C"
    )


def list_tasks(ctx: Context) -> None:
    """Show tasks and how many of their jobs wait, run and have ended."""
    from orchestra.interface.me import Me
    from orchestra.interface.tasks import ListTasks

    args = ctx.args

    def read(ask: Interface) -> tuple[TaskLine, ...]:
        me = ask(Me()).name
        return ask(ListTasks(args.user or (None if args.all else me), every=args.all))

    def show(tasks: tuple[TaskLine, ...]) -> None:
        wide, *narrow = (_ALL_COUNTS, _ALL_COUNTS_IN_WORDS) if args.counts else layouts(tasks)
        ctx.out.items(
            tasks,
            wide,
            narrow=narrow,
            record=_record,
            key=lambda line: line.task.id,
            empty="No tasks that are not done: maestro task list -a shows all. To create one: "
            "maestro run --help"
            if not args.all
            else "No tasks yet: maestro run --help",
        )

    if args.watch:
        from orchestra.cli import watch

        watch.watch(ctx, read, show)
        return
    with ctx.interface() as ask:
        found = read(ask)
    show(found)


def layouts(tasks: Sequence[TaskLine]) -> tuple[Sequence[Column[TaskLine]], ...]:
    """Return the columns of the overview, from wide to narrow; those of killed and broken jobs only where needed."""
    groups = [
        group
        for group in _GROUPS
        if group in _ALWAYS or any(_number(line, group) for line in tasks)
    ]
    wide = [_group(group, group.upper()) for group in groups]
    narrow = [_group(group, _SHORT.get(group, group.upper())) for group in groups]
    return (
        (_ID, _TASK, _QUEUE, _STATE, *wide, _TOTAL, _PROGRESS, _ENDS),
        (_ID, _TASK, _QUEUE, _STATE, *narrow, _TOTAL, _PERCENT, _ENDS),
        (_ID, _TASK, _STATE, Column("JOBS", _in_words, fit=Fit.FOLD)),
    )


def _group(group: str, title: str) -> Column[TaskLine]:
    return Column(title, lambda line: _number(line, group), right=True)


def _number(line: TaskLine, group: str) -> int:
    return sum(line.task.counts[status] for status in _GROUPS[group])


def _percent(line: TaskLine) -> str:
    return human.percent(line.task.counts.done, line.task.active_jobs)


def _progress(line: TaskLine) -> str:
    return f"{bar(line.task.counts.done, line.task.active_jobs, _BAR)} {_percent(line):>5}"


def _ends(line: TaskLine) -> str:
    if line.ends.seconds is not None:
        return human.relative(line.ends.seconds)
    return line.ends.words or "-"


def _in_words(line: TaskLine) -> str:
    task = line.task
    counts = [
        f"{human.number(count)} {group}"
        for group in _GROUPS
        if group != "done" and (count := _number(line, group))
    ]
    done = f"{human.number(task.counts.done)} of {human.number(task.active_jobs)} done ({_percent(line)})"
    ends = "" if _ends(line) == "-" else f"; ends {_ends(line)}"
    return ", ".join([*counts, done]) + ends


def _status_column(status: JobStatus) -> Column[TaskLine]:
    return Column(status.upper(), lambda line: line.task.counts[status], right=True, spare="0")


def _counts_in_words(line: TaskLine) -> str:
    counts = line.task.counts
    return ", ".join(f"{human.number(counts[each])} {each}" for each in JobStatus if counts[each])


_ID: Column[TaskLine] = Column("ID", lambda line: line.task.id, right=True)
_TASK: Column[TaskLine] = Column("TASK", lambda line: line.task.name, fit=Fit.START)
_QUEUE: Column[TaskLine] = Column("QUEUE", lambda line: line.task.queue.value, spare="cpu")
_STATE: Column[TaskLine] = Column("STATE", lambda line: line.task.state.value, state=True)
_TOTAL: Column[TaskLine] = Column("TOTAL", lambda line: line.task.active_jobs, right=True)
_PROGRESS: Column[TaskLine] = Column("PROGRESS", _progress, fit=Fit.WHOLE)
_PERCENT: Column[TaskLine] = Column("%", _percent, right=True)
_ENDS: Column[TaskLine] = Column("ENDS", _ends, spare="-", fit=Fit.FOLD)
_ALL_COUNTS = (_ID, _TASK, _QUEUE, *map(_status_column, JobStatus), _STATE, _ENDS)
_ALL_COUNTS_IN_WORDS = (
    _ID,
    _TASK,
    _STATE,
    Column("JOBS", _counts_in_words, fit=Fit.FOLD),
    _ENDS,
)


def _record(line: TaskLine) -> Record:
    return {**task_record(line.task), "ends_in_seconds": line.ends.seconds}
