"""`maestro task set`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from orchestra.cli import task_resources
from orchestra.cli.argument_types import Amount, at_least, unit_notes, whole
from orchestra.cli.output import Record, clean
from orchestra.cli.task_create import unserved_note
from orchestra.cli.task_select import for_each, several_tasks, the_ids
from orchestra.domain import human
from orchestra.domain.errors import BadInput
from orchestra.domain.models.tasks import Limit
from orchestra.domain.quantities import parse_limit
from orchestra.domain.states import HoldCause, TaskState

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.task_settings import NewSettings, SettingChange
    from orchestra.domain.models.tasks import Task
    from orchestra.interface.answers.task_actions import Changed
    from orchestra.interface.operation import Interface

_T = TypeVar("_T")


_PLACES = {
    *("cores", "cpus", "gpus", "gpu-memory", "memory", "scratch", "exclusive"),
    *("constraint", "node", "not-node"),
}
"""Settings that decide which nodes can run a job."""


class _AmountOrNone(Amount):
    """An amount greater than 0, or `none`, which is stored as 0."""

    def __call__(
        self,
        parser: object,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        if values.strip().lower() == task_resources.NONE:
            setattr(namespace, self.dest, 0)
            return
        super().__call__(parser, namespace, values, option)
        if not getattr(namespace, self.dest):
            raise BadInput(
                f"{self.option_strings[-1]} must be greater than zero.",
                hint=f"{self.option_strings[-1]} none removes the limit.",
            )


def _or_none(parse: Callable[[str], _T], none: _T) -> Callable[[str], _T]:
    return lambda text: none if text.strip().lower() == task_resources.NONE else parse(text)


def set_arguments(parser: Parser) -> None:
    """Add the arguments of `task set`."""
    several_tasks(parser)
    at_once = parser.add_argument_group("at once")
    at_once.add_argument(
        "--priority",
        type=whole,
        metavar="N",
        help="its owner's tasks with a higher priority go first",
    )
    at_once.add_argument(
        "--retries",
        type=at_least("--retries", 0),
        metavar="N",
        help="number of retries of a job that fails from now on",
    )
    at_once.add_argument(
        "--max-fails",
        type=_or_none(parse_limit, Limit()),
        metavar="N|P%|none",
        help="hold the task when this many jobs have failed since it was last released",
    )
    at_once.add_argument(
        "--max-running",
        type=_or_none(at_least("--max-running", 1), 0),
        metavar="N|none",
        help="number of jobs that run at a time",
    )
    at_once.add_argument(
        "--goal",
        type=_or_none(str, ""),
        metavar="min:NAME|max:NAME|none",
        help="metric whose lowest or highest value is best",
    )
    starting = parser.add_argument_group("for jobs that have not started")
    starting.add_argument(
        "--timeout",
        action=_AmountOrNone,
        metavar="TIME",
        help="end a job that runs longer; or none",
    )
    starting.add_argument(
        "--grace", action=Amount, metavar="TIME", help="time between SIGTERM and SIGKILL"
    )
    task_resources.cpu_arguments(starting)
    starting.add_argument(
        "--gpus",
        type=task_resources.some_gpus(1),
        metavar="N",
        help="GPUs of a job, or a part of one (queue gpu)",
    )
    for option, text in task_resources.AMOUNTS.items():
        starting.add_argument(
            option,
            action=_AmountOrNone,
            metavar=task_resources.unit(option),
            help=f"{text}; or none",
        )
    starting.add_argument(
        "--exclusive", choices=("on", "off"), help="whether no other job runs on its node"
    )
    for option, (metavar, text) in task_resources.WHERE.items():
        starting.add_argument(option, action="append", metavar=metavar, help=f"{text}; or none")


def set_tasks(ctx: Context) -> int:
    """Change settings of tasks."""
    from orchestra.interface.task_changes import SetTask

    settings, changed = _settings(ctx), []
    with ctx.interface() as ask:
        ids = the_ids(ctx, ask)
        for note in unit_notes(ctx.args):
            ctx.out.note(note)

        def one(task: int) -> None:
            done = ask(SetTask(task, settings))
            changed.append(done)
            if ctx.out.for_people:
                ctx.out.say(_line(done))
            for note in _notes(ask, done) if done.changes else ():
                ctx.out.note(note)

        status = for_each(ids, one)
    if not ctx.out.for_people:
        ctx.out.items(changed, (), record=_record, key=lambda done: done.after.id, empty="")
    return status


def _line(done: Changed) -> str:
    title = f"task {done.after.id} ({done.after.name})"
    if not done.changes:
        return f"{title} has these settings already"
    return f"{title}: {clean(', '.join(map(_change_words, done.changes)))}"


def _record(done: Changed) -> Record:
    return {
        "id": done.after.id,
        "name": done.after.name,
        "state": done.after.state.value,
        "revision": done.after.revision,
        "changes": [
            {"setting": change.name, "from": change.before, "to": change.after}
            for change in done.changes
        ],
    }


def _settings(ctx: Context) -> NewSettings:
    """Return the settings that were given.

    Raises:
        BadInput: there are none.
    """
    from orchestra.domain.models.task_settings import NewSettings

    args = ctx.args
    settings = NewSettings(
        priority=args.priority,
        retries=args.retries,
        max_fails=args.max_fails,
        max_running=args.max_running,
        timeout=args.timeout,
        grace=args.grace,
        walltime=args.walltime,
        cpus=args.cpus,
        cores=args.cores,
        gpus=None if args.gpus is None else args.gpus[0],
        gpu_milli=None if args.gpus is None else args.gpus[1] or 0,
        vram_bytes=args.gpu_memory,
        memory_bytes=args.memory,
        scratch_bytes=args.scratch,
        exclusive=None if args.exclusive is None else args.exclusive == "on",
        constraint=task_resources.constraint_of(args.constraint),
        nodes=task_resources.nodes_of(args.node),
        not_nodes=task_resources.nodes_of(args.not_node),
        goal=args.goal,
    )
    if settings == NewSettings():
        raise BadInput("nothing to change.", hint="For example: maestro task set 0 --priority 5")
    return settings


def _change_words(change: SettingChange) -> str:
    return f"{change.name} {change.after} (was {change.before})"


def _notes(ask: Interface, done: Changed) -> Iterator[str]:
    """Yield for which jobs the new settings count, and what they do not do."""
    task, names = done.after, {change.name for change in done.changes}
    if not task.state.may_claim and task.state is not TaskState.REGISTERED:
        if names != {"goal"}:
            yield f"It counts when its jobs run again: maestro task retry {task.id}"
        return
    if any(change.at_start for change in done.changes):
        yield _started_with(task)
    if done.unserved and _PLACES & names:
        yield unserved_note(done.unserved)
    elif {"cores", "gpus"} & names:
        yield from _waits(ask, task)
    if "retries" in names and task.counts.failed:
        yield (
            f"Jobs that have failed are not run again: {human.count(task.counts.failed, 'job')}; "
            f"maestro job list {task.id} --state failed shows them"
        )
    if "max-fails" in names:
        yield from _failures(done)


def _started_with(task: Task) -> str:
    waiting = task.counts.registered + task.counts.assigned
    for_them = f"It counts for {human.count(waiting, 'job')} that {_has(waiting)} not started"
    if not waiting:
        for_them = "All jobs have started, so it counts when they are run again"
    running = task.counts.living
    if not running:
        return for_them
    keep = "keeps" if running == 1 else "keep"
    return f"{for_them}; {human.count(running, 'running job')} {keep} the old value"


def _has(jobs: int) -> str:
    return "has" if jobs == 1 else "have"


def _waits(ask: Interface, task: Task) -> Iterator[str]:
    from orchestra import command_words
    from orchestra.interface.task_reports import WhyTaskWaits

    for reason in ask(WhyTaskWaits(task.id)):
        yield f"note: the task is waiting. {command_words.worded(reason)}"


def _failures(done: Changed) -> Iterator[str]:
    task, limit = done.after, done.after.policy.max_fails
    if task.hold and task.hold.cause is HoldCause.FAILURES:
        yield f"It is still held. To start its jobs again: maestro task release {task.id}"
    elif limit and not task.hold and limit.reached(done.failures, task.active_jobs):
        failed = human.count(done.failures, "job")
        yield f"{failed} {_has(done.failures)} failed already, so the task is held now"
