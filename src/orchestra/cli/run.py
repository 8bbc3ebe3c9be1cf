"""`maestro run`: data sets, task and progress in one command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from orchestra.cli import run_files, run_options, run_program, task_create, uploading
from orchestra.cli.dataset_record import contents
from orchestra.cli.exit_statuses import INTERRUPTED
from orchestra.cli.output import Record, clean
from orchestra.cli.registry import Verb
from orchestra.cli.task_options import new_task
from orchestra.domain import human, naming
from orchestra.domain.errors import AlreadyExists, BadInput
from orchestra.domain.program_call import SCRIPT_TAG
from orchestra.domain.task_text import commit_in_words

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.run_files import Configs
    from orchestra.cli.run_program import Program
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.domain.models.runs import Files
    from orchestra.domain.models.tasks import Task
    from orchestra.interface.answers.runs import Run, RunInput
    from orchestra.interface.operation import Interface


def run(ctx: Context) -> int | None:
    """Create the data sets and the task, and follow it to its end."""
    if ctx.args.if_not_exists and not ctx.args.name:
        raise BadInput("--if-not-exists needs --name.")
    program = run_program.find(ctx)
    configs = run_files.configs(ctx, program)
    with ctx.interface() as ask:
        task = task_create.existing(ctx, ask) if ctx.args.name else None
        if task:
            task_create.print_existing(ctx, task)
        else:
            _check_name(ctx, ask)
            task = _create(ctx, ask, program, configs)
    if task is None or ctx.args.detach:
        return None
    return _follow(ctx, task)


def _check_name(ctx: Context, ask: Interface) -> None:
    from orchestra.interface.new_tasks import FindOwnTask

    name = ctx.args.name
    if name and (taken := ask(FindOwnTask(name))):
        raise AlreadyExists(
            f'a task "{taken.name}" already exists (task {taken.id}, {taken.state}).',
            hint="Leave out --name, and a free one is made.",
            kind="task",
            name=taken.name,
        )


def _create(ctx: Context, ask: Interface, program: Program, configs: Configs) -> Task | None:
    from orchestra.interface.runs import PlanRun

    new, files = _request(ctx, ask, program)
    while True:
        named, folder = _named(ctx, ask, program, configs, new)
        if ctx.args.dry_run:
            every = (configs.planned(folder), *files)
            plan = ask(PlanRun(named, every, task_create.PREVIEWED_JOBS))
            task_create.print_preview(ctx, plan.preview)
            run_program.note_changes(ctx, program)
            return None
        try:
            run = configs.used(folder, partial(_created, ctx, ask, program, named, files))
        except AlreadyExists:
            if ctx.args.name:
                raise
            continue  # somebody took the name a moment before
        if any(each.dataset.source for each in run.plan.inputs):
            program = replace(program, interpreter=None)
        _print(ctx, program, run)
        task_create.print_notes(ctx, ask, run.plan.preview, run.task)
        return run.task


def _created(
    ctx: Context,
    ask: Interface,
    program: Program,
    new: NewTask,
    others: tuple[Files, ...],
    configs: Files,
) -> Run:
    from orchestra.interface.runs import CreateRun

    files = tuple(
        replace(each, manifest=uploading.taken(ctx, ask, each.name, each.manifest))
        for each in (configs, *others)
    )
    if any(each.manifest.source for each in files):
        uploading.check_volume(ctx, new)
        new = run_program.anywhere(ctx, program, new)
    return ask(CreateRun(new, files))


def _request(ctx: Context, ask: Interface, program: Program) -> tuple[NewTask, tuple[Files, ...]]:
    """Return the request, still without a name and configs, and the other files that belong to it."""
    new = replace(new_task(ctx, ""), command=program.command, data=run_files.data_set(ctx, ask))
    if ctx.args.image:
        new = replace(new, binds=(*new.binds, *run_program.binds(program)))
    files = tuple(run_files.others(ctx, program))
    script = next((each.manifest for each in files if each.tag == SCRIPT_TAG), None)
    return replace(new, origin=run_program.origin(ctx, program, script)), files


def _named(
    ctx: Context, ask: Interface, program: Program, configs: Configs, new: NewTask
) -> tuple[NewTask, str]:
    """Return the request with its name, its files checked, and the task's folder."""
    name = ctx.args.name or _free_name(ctx, ask, program, configs, new.volume)
    name = str(naming.parse_name(name, username=ctx.names.username))
    folder = f"{new.volume.rstrip('/')}/{name}"
    return uploading.check_files(ctx, ask, replace(new, name=name), folder), folder


def _free_name(
    ctx: Context, ask: Interface, program: Program, configs: Configs, volume: str
) -> str:
    """Return a name after the program's that no task has, and that no folder on the volume has."""
    from orchestra.interface.names import FreeName

    name = naming.part_of(program.name).replace(".", "_") or "run"
    while True:
        name = ask(FreeName(name))
        folder = f"{volume.rstrip('/')}/{name}"
        if (ctx.args.reuse or not os.path.lexists(folder)) and configs.is_free(folder):
            return name
        name = next(islice(naming.numbered(name), 1, None))


def _print(ctx: Context, program: Program, run: Run) -> None:
    ctx.out.item(
        run,
        lambda made: _lines(program, made),
        record=_record,
        key=lambda made: made.task.id,
    )
    if ctx.args.detach and ctx.out.for_people:
        ctx.out.note(task_create.watch_line(run.task))
    run_program.note_changes(ctx, program)
    for taken in run.plan.inputs:
        if taken.live:
            tasks = human.listed([f"task {task}" for task in taken.live], most=3)
            ctx.out.note(
                f"warning: {tasks} still {'uses' if len(taken.live) == 1 else 'use'} an earlier version of "
                f"{taken.dataset.name}: jobs that have not started are held, because the file has changed. "
                f"To give them the new one: maestro task retry {taken.live[0]} --update"
            )


def _lines(program: Program, run: Run) -> Iterator[str]:
    title, *more = task_create.task_lines(run.task, run.plan.preview.commands[0])
    yield title
    for taken in run.plan.inputs:
        yield f"    {_title_of(taken):<10} {_taken_words(taken)}"
    if program.interpreter:
        yield f"    {'python':<10} {clean(program.interpreter)}"
    if run.task.origin and (words := commit_in_words(run.task.origin)):
        yield f"    {'commit':<10} {words}"
    yield from more


def _title_of(taken: RunInput) -> str:
    return {"IN": "configs", "DATA": "data", SCRIPT_TAG: "script"}.get(taken.tag, taken.tag)


def _taken_words(taken: RunInput) -> str:
    from orchestra.domain.models.datasets import Taken

    dataset = taken.dataset
    how = {
        Taken.NEW: "registered",
        Taken.AS_IT_WAS: f"unchanged, version {dataset.version}",
        Taken.NEW_VERSION: f"changed, now version {dataset.version}",
    }[taken.taken]
    return f"{dataset.name}: {contents(dataset)}, {how}"


def _record(run: Run) -> Record:
    return {
        **task_create.created_record(run.task, created=True),
        "inputs": [
            {
                "tag": taken.tag,
                "dataset": taken.dataset.name,
                "version": taken.dataset.version,
                "taken": taken.taken.value,
            }
            for taken in run.plan.inputs
        ],
    }


def _follow(ctx: Context, task: Task) -> int:
    from orchestra.cli import task_show, task_wait
    from orchestra.interface.task_reports import ShowTask

    try:
        status = task_wait.follow(ctx, lambda _ask: [task.id])
    except KeyboardInterrupt:  # before it was looked at for the first time
        ctx.out.note("", task_wait.left([task.id]))
        return INTERRUPTED
    if ctx.out.for_people and status != INTERRUPTED:
        with ctx.interface() as ask:
            ctx.out.note(*task_show.end_lines(ask(ShowTask(str(task.id)))))
    return status


_EXAMPLE = (
    "maestro run train.py configs/*.yaml\n"
    'maestro run --exec "python3 train.py -c %IN -o %OUT" configs/ --queue gpu --detach\n'
    "maestro run train.py configs/ --data digits.npz --name mlp --retries 1\n"
    "maestro run train.py --grid lr=0.1,0.01 --grid width=8,16 --seeds 5"
)

VERBS = (
    Verb(
        "run",
        "run a script over config files: one job for each",
        run,
        run_options.arguments,
        example=_EXAMPLE,
        output=True,
        description="Run a script over config files, one job for each, and follow it to its end. The files are "
        "registered as data sets and the task is created as by `dataset create` and `task create`, all in one step. "
        "The script is called as SCRIPT -c CONFIG -o FOLDER, and -d DATA with --data; --exec gives another command. "
        "A .py runs under the Python that is active here. Ctrl-C leaves the task running. "
        "The exit status is that of `task wait`.",
    ),
)
