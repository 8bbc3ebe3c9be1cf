"""`maestro task hold`, `release`, `retry`, `kill`, `delete` and `clean`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchestra.cli.consequences import dry_run, say_consequences
from orchestra.cli.output import clean
from orchestra.cli.task_record import task_title
from orchestra.cli.task_select import for_each, several_tasks, the_ids
from orchestra.domain import human
from orchestra.domain.consequences import TaskAction
from orchestra.domain.errors import BadInput, Incomplete, Refused
from orchestra.domain.quantities import parse_duration
from orchestra.domain.states import TaskState

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.tasks import Task
    from orchestra.files.attempt_folders import Removed, Survey
    from orchestra.interface.answers.task_actions import Removable
    from orchestra.interface.operation import Interface

_UNKNOWN_SHOWN = 10
_REASONS_SHOWN = 3


def hold_arguments(parser: Parser) -> None:
    """Add the arguments of `task hold`."""
    several_tasks(parser)
    parser.add_argument(
        "--reason", metavar="TEXT", help="reason, shown by `task list` and `task show`"
    )


def hold(ctx: Context) -> int:
    """Stop starting jobs of tasks."""
    from orchestra.interface import waiting
    from orchestra.interface.task_changes import HoldTask

    with ctx.interface() as ask:
        ids = the_ids(ctx, ask)
        held = []

        def one(task: int) -> None:
            before = ask(HoldTask(task, ctx.args.reason)).before
            held.append(task)
            if before.hold:
                ctx.out.say(
                    f"{task_title(before)} is already held by {before.hold.by}: {before.hold.reason}"
                )
                return
            ctx.out.say(f"{task_title(before)} is held; {_alive(before)}")
            ctx.out.note(f"To start its jobs again: maestro task release {task}")

        status = for_each(ids, one)
        for task, nodes in waiting.wait_for_pilots(ask, held).items():
            ctx.out.note(waiting.not_answered(task, nodes))
        return status


def release(ctx: Context) -> int:
    """Start jobs of held tasks again."""
    from orchestra.interface.task_changes import ReleaseTask

    with ctx.interface() as ask:
        ids = the_ids(ctx, ask)

        def one(task: int) -> None:
            before = ask(ReleaseTask(task)).before
            if before.hold:
                ctx.out.say(f"{task_title(before)} is released")
            elif before.after:
                others = human.listed([f"task {each.id}" for each in before.after])
                ctx.out.say(f"{task_title(before)} no longer waits for {others}")
            else:
                ctx.out.say(f"{task_title(before)} was not held")

        return for_each(ids, one)


def retry_arguments(parser: Parser) -> None:
    """Add the arguments of `task retry`."""
    several_tasks(parser)
    parser.add_argument("-a", "--all", action="store_true", help="run the done jobs again as well")
    parser.add_argument(
        "--update",
        action="store_true",
        help="take configs, data sets and script as they are now, as a new revision of the task",
    )
    parser.add_argument(
        "--bypass", action="store_true", help="start all jobs at once, without a test"
    )
    dry_run(parser)
    _yes(parser)


def retry(ctx: Context) -> int:
    """Run the jobs of tasks again that are not done."""
    with ctx.interface() as ask:
        ids = the_ids(ctx, ask)
        return for_each(ids, lambda task: _retry_one(ctx, ask, task))


def _retry_one(ctx: Context, ask: Interface, task: int) -> None:
    from orchestra.cli import task_update
    from orchestra.interface.task_changes import OwnTask, RetryTask

    args = ctx.args
    if args.dry_run:
        if args.update:
            raise BadInput("--dry-run does not go with --update, which compares files first.")
        say_consequences(ctx, ask, task, TaskAction.RETRY_ALL if args.all else TaskAction.RETRY)
        return
    before = ask(OwnTask(task))
    # Only what is not done: nothing to ask about.
    if args.update and not args.all and task_update.update(ctx, ask, task):
        return
    if not _may_start_over(ctx, before):
        ctx.out.note(f"{task_title(before)} is unchanged")
        return
    if args.update and args.all and task_update.update(ctx, ask, task):
        return
    done = ask(RetryTask(task, every=args.all, bypass=args.bypass))
    everything = args.all or before.state is TaskState.DONE
    jobs = before.active_jobs - (0 if everything else before.counts.done)
    ctx.out.say(
        f"{task_title(before)}: {human.count(jobs, 'job')} to run again; the task is {done.step.state}"
    )


def _may_start_over(ctx: Context, task: Task) -> bool:
    """Ask before done jobs run again; without a terminal, do not ask."""
    done_jobs = task.counts.done
    starts_over = task.state is TaskState.DONE or ctx.args.all
    if not done_jobs or not starts_over or task.state.is_live or not _terminal():
        return True
    hours = ""
    if task.typical_seconds:
        hours = f", about {human.compute_time(task.typical_seconds * done_jobs, 'job')}"
    return ctx.out.ask(
        f"{task_title(task)} has {human.count(done_jobs, 'done job')}{hours}. Run them all again?",
        yes=ctx.args.yes,
    )


def kill_arguments(parser: Parser) -> None:
    """Add the arguments of `task kill`."""
    several_tasks(parser)
    parser.add_argument("--reason", metavar="TEXT", help="reason, shown by `task show`")
    dry_run(parser)


def kill(ctx: Context) -> int:
    """Kill tasks."""
    from orchestra.interface.task_changes import KillTask

    with ctx.interface() as ask:
        ids = the_ids(ctx, ask)

        def one(task: int) -> None:
            if ctx.args.dry_run:
                say_consequences(ctx, ask, task, TaskAction.KILL)
                return
            done = ask(KillTask(task, ctx.args.reason))
            before = done.before
            if done.step.again:
                how = "being killed" if before.state.is_live else before.state
                ctx.out.say(f"{task_title(before)} is already {how}")
            elif done.alive:
                ctx.out.say(
                    f"{task_title(before)} is being killed; {human.count(done.alive, 'running job')}"
                )
            else:
                ctx.out.say(f"{task_title(before)} is killed; none of its jobs was running")

        return for_each(ids, one)


def delete_arguments(parser: Parser) -> None:
    """Add the arguments of `task delete`."""
    several_tasks(parser)
    parser.add_argument(
        "--remove",
        action="store_true",
        help="remove the folders of its attempts, too, and nothing else",
    )
    parser.add_argument("--force", action="store_true", help="kill it first")
    parser.add_argument(
        "--timeout",
        type=parse_duration,
        default=120.0,
        metavar="TIME",
        help="with --force, time to wait for its jobs to end (default 120s)",
    )
    _yes(parser)


def delete(ctx: Context) -> int:
    """Delete tasks."""
    with ctx.interface() as ask:
        ids = the_ids(ctx, ask)
        return for_each(ids, lambda task: _delete_one(ctx, ask, task))


def _delete_one(ctx: Context, ask: Interface, task: int) -> None:
    from orchestra.interface.task_changes import DeleteTask, OwnTask, RemovableFolders
    from orchestra.interface.waiting import kill_for_good

    live = ask(OwnTask(task)).state.is_live
    if live and ctx.args.force and ctx.args.remove and not ctx.args.yes:
        ctx.out.check_can_ask("Kill the task, and delete it with its folders?")
    if ctx.args.force and not kill_for_good(ask, task, timeout=ctx.args.timeout):
        raise Refused(
            f"task {task} is being killed, and some of its jobs are still running.",
            hint=f"Delete it when it is KILLED: maestro task wait {task}",
        )
    removable = None
    if ctx.args.remove and not ask(OwnTask(task)).state.is_live:
        removable = ask(RemovableFolders(task))
        if not _agreed(ctx, removable, "Delete task and folders?"):
            ctx.out.note("nothing was deleted")
            return
    if removable is not None:
        # The folders first: after a failure, the command can be repeated only for a task that still exists.
        _remove(
            ctx, removable, "Fix this and repeat the command; the task is not deleted until then."
        )
    before = ask(DeleteTask(task)).before
    ctx.out.say(f"{task_title(before)} is deleted")
    if removable is None:
        ctx.out.note(f"Its files stay in {clean(before.folder)}")


def _agreed(ctx: Context, removable: Removable, question: str) -> bool:
    """Show what would be removed and ask, unless there is nothing."""
    found = _survey(ctx, removable)
    _say_found(ctx, removable.task, found)
    return not found.folders or ctx.out.ask(question, yes=ctx.args.yes)


def _survey(ctx: Context, removable: Removable) -> Survey:
    from orchestra.files import attempt_folders

    folder = removable.task.folder
    with ctx.out.progress("reading folders", None, "jobs") as line:
        return attempt_folders.survey(folder, removable.folders, progress=line.advance)


def _say_found(ctx: Context, task: Task, found: Survey) -> None:
    ctx.out.note(
        f"{clean(task.folder)}: {human.size(found.bytes)} in {human.count(found.files, 'file')} of "
        f"{human.count(found.folders, 'attempt')}"
    )
    if found.foreign:
        names = [clean(name) for name in found.foreign]
        ctx.out.note(
            f"Not made by Orchestra, and left in place: {human.listed(names, most=_UNKNOWN_SHOWN)}"
        )


def _remove(ctx: Context, removable: Removable, hint: str) -> None:
    """Remove folders and report the result.

    Raises:
        Incomplete: not everything could be removed.
    """
    from orchestra.files import attempt_folders

    with ctx.out.progress("removing", len(removable.folders), "attempts") as line:
        removed = attempt_folders.remove(
            removable.task.folder, removable.folders, progress=line.advance
        )
    ctx.out.say(
        f"{human.count(removed.folders, 'attempt')} removed, {human.size(removed.bytes)} freed"
    )
    if not removed.complete:
        raise Incomplete(f"{task_title(removable.task)}: {_left(removed)}.", hint=hint)


def _left(removed: Removed) -> str:
    size, files = human.size(removed.left_bytes), human.count(removed.left_files, "file")
    folders = human.count(removed.left_folders, "folder")
    reasons = [f"{why}, for example {clean(path)}" for why, path in removed.reasons.items()]
    return (
        f"{size} in {files} and {folders} of {human.count(removed.left_attempts, 'attempt')} could not be removed "
        f"({'; '.join(reasons[:_REASONS_SHOWN])})"
    )


def clean_arguments(parser: Parser) -> None:
    """Add the arguments of `task clean`."""
    several_tasks(parser)
    _yes(parser)


def clean_tasks(ctx: Context) -> int:
    """Remove the folders of superseded attempts."""
    with ctx.interface() as ask:
        ids = the_ids(ctx, ask)
        return for_each(ids, lambda task: _clean_one(ctx, ask, task))


def _clean_one(ctx: Context, ask: Interface, task: int) -> None:
    from orchestra.interface.task_changes import RemovableFolders

    removable = ask(RemovableFolders(task, superseded=True))
    title, found = task_title(removable.task), _survey(ctx, removable)
    if not found.folders:
        ctx.out.say(f"{title} has no superseded attempts")
        return
    attempts = f"{human.count(found.folders, 'superseded attempt')}, {human.size(found.bytes)}"
    if not ctx.out.ask(f"{title}: remove {attempts}?", yes=ctx.args.yes):
        ctx.out.note("nothing was removed")
        return
    _remove(ctx, removable, "Fix this and repeat the command.")


def _alive(task: Task) -> str:
    living = task.counts.living
    if not living:
        return "none of its jobs is running"
    return f"{human.count(living, 'job')} {'continues' if living == 1 else 'continue'} to run"


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _yes(parser: Parser) -> None:
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
