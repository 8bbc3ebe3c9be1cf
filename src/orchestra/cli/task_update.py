"""`maestro task retry --update` and `task add`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from orchestra.cli import dataset_files, uploading
from orchestra.cli.dataset import checksums, note_left_out
from orchestra.cli.output import Record, clean
from orchestra.domain import human
from orchestra.domain.states import TaskState

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.input_changes import SomeJobs
    from orchestra.interface.answers.task_inputs import Added, TaskInputs, Updated
    from orchestra.interface.operation import Interface


def update(ctx: Context, ask: Interface, task: int) -> bool:
    """Let a task read its inputs as they are now, and retry it; False if they have not changed."""
    from orchestra.interface import rereading

    args = ctx.args
    with checksums(ctx) as progress:
        read, updated = rereading.update(
            *(ask, task),
            every=args.all,
            bypass=args.bypass,
            progress=progress,
            take=partial(uploading.taken, ctx, ask),
        )
    for note in _not_read(read):
        ctx.out.note(note)
    if not updated.changes:
        ctx.out.note(f"{_title(updated)}: nothing has changed in its inputs")
        return False
    ctx.out.say(f"{_title(updated)}: {updated.changes}")
    for line in _changed_jobs(updated):
        ctx.out.say(line)
    ctx.out.say(_what_runs(updated))
    for note in _notes(updated):
        ctx.out.note(note)
    return True


def _title(done: Updated | Added) -> str:
    return f"task {done.before.id} ({done.before.name})"


def _not_read(read: TaskInputs) -> Iterator[str]:
    for each in read.inputs:
        if not each.own:
            yield (
                f"{each.dataset.name} belongs to {each.dataset.owner}: its newest version, {each.dataset.version}, "
                "is taken"
            )
    if read.fixed_configs:
        yield "Its configs are the outputs of another task, and stay as they were recorded."


def _changed_jobs(updated: Updated) -> Iterator[str]:
    task, changes = updated.before.id, updated.changes
    for what, jobs in (
        ("changed", changes.configs_changed),
        ("new", changes.added),
        ("removed", changes.removed),
        ("back", changes.returned),
    ):
        for number, config in jobs.first:
            yield f"    {what:<9}  job {f'{task}/{number}':<8} {clean(config)}"
        if (more := jobs.count - len(jobs.first)) > 0:
            yield f"    {what:<9}  {human.number(more)} more"


def _what_runs(updated: Updated) -> str:
    state = updated.step.state
    if state is TaskState.DONE:
        return f"{_title(updated)}: no job is left to run; the task stays DONE"
    jobs = human.count(updated.again, "job")
    return (
        f"{_title(updated)}: {jobs} to run, with revision {updated.revision}; the task is {state}"
    )


def _notes(updated: Updated) -> Iterator[str]:
    task, changes = updated.before.id, updated.changes
    if alive := updated.before.counts.living:
        yield (
            f"{human.count(alive, 'running job')} {'continues' if alive == 1 else 'continue'} with what "
            f"{'it was' if alive == 1 else 'they were'} started with."
        )
    if stale := changes.stale:
        number = stale.first[0][0]
        yield (
            f"{human.count(stale.count, 'done job')} {'keeps the result' if stale.count == 1 else 'keep the results'} "
            f"of the former config: {stale.numbers}. To run one again: maestro job retry {task}/{number}"
        )
    if updated.step.state is TaskState.DONE:
        yield f"To run all its jobs again: maestro task retry {task} --all"
    if hold := updated.hold:
        yield f"It is held by {hold.by}: {hold.reason}. To start its jobs: maestro task release {task}"


def add_arguments(parser: Parser) -> None:
    """Add the arguments of `task add`."""
    parser.add_argument("task", metavar="TASK", help="number or name of the task")
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="configs, or a folder with configs: one job for each file",
    )
    dataset_files.choice_arguments(parser)
    uploading.arguments(parser)


def add(ctx: Context) -> None:
    """Add configs to a task."""
    from orchestra.files import file_lists
    from orchestra.interface.selection import FindTask
    from orchestra.interface.task_inputs import AddConfigs

    with ctx.interface() as ask:
        found = ask(FindTask(ctx.names.task(ctx.args.task)))
        task, name = found.id, found.name
        with checksums(ctx) as progress:
            files = file_lists.of_paths(ctx.args.files, progress, dataset_files.choice(ctx))
        note_left_out(ctx, files)
        files = uploading.taken(ctx, ask, name, files)
        added = ask(AddConfigs(task, files))
    ctx.out.item(added, _added_lines, record=_added_record, key=lambda done: done.before.id)
    for note in _added_notes(added):
        ctx.out.note(note)


def _added_lines(added: Added) -> Iterator[str]:
    jobs = [*added.added.first, *added.returned.first]
    count = added.added.count + added.returned.count
    yield f"{_title(added)}: {human.count(count, 'config')} added; the task is {added.step.state}"
    for number, config in jobs:
        yield f"    job {f'{added.before.id}/{number}':<8} {clean(config)}"
    if (more := count - len(jobs)) > 0:
        yield f"    {human.number(more)} more, up to job {added.before.id}/{_last(added)}"


def _last(added: Added) -> int:
    return added.before.jobs + added.added.count - 1


def _added_notes(added: Added) -> Iterator[str]:
    if there := added.there:
        yield f"{human.count(there.count, 'file')} it has already: {_jobs(there)}"
    if differing := added.differing:
        yield (
            f"{human.count(differing.count, 'of them has', 'of them have')} changed since: {_jobs(differing)}. "
            f"To take what they say now: maestro task retry {added.before.id} --update"
        )


def _jobs(jobs: SomeJobs) -> str:
    return f"{'job' if jobs.count == 1 else 'jobs'} {jobs.numbers}"


def _added_record(added: Added) -> Record:
    return {
        "id": added.before.id,
        "name": added.before.name,
        "state": added.step.state.value,
        "jobs": added.before.jobs + added.added.count,
        "added": added.added.count,
        "first": added.before.jobs if added.added else None,
        "returned": added.returned.count,
        "there": added.there.count,
        "differing": added.differing.count,
    }
