"""`maestro run`: data sets, task and progress in one command."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli import dataset_files, task_create
from orchestra.cli.dataset import checksums, note_left_out
from orchestra.cli.dataset_record import contents
from orchestra.cli.exit_statuses import INTERRUPTED
from orchestra.cli.output import Record, clean
from orchestra.cli.registry import Verb
from orchestra.cli.task_options import new_task, run_arguments, secondary_of
from orchestra.domain import command, human, naming, program_call
from orchestra.domain.errors import AlreadyExists, BadInput, NotFound
from orchestra.domain.program_call import SCRIPT_TAG, Change, Kind
from orchestra.domain.task_text import commit_in_words

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.datasets import Manifest
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.domain.models.runs import Files
    from orchestra.domain.models.tasks import Origin, Task
    from orchestra.interface.answers.runs import Run, RunInput
    from orchestra.interface.operation import Interface


def run(ctx: Context) -> int | None:
    """Create the data sets and the task, and follow it to its end."""
    if ctx.args.if_not_exists and not ctx.args.name:
        raise BadInput("--if-not-exists needs --name.")
    program = _program(ctx)
    with ctx.interface() as ask:
        task = task_create.existing(ctx, ask) if ctx.args.name else None
        if task:
            task_create.print_existing(ctx, task)
        else:
            _check_name(ctx, ask)
            task = _create(ctx, ask, program)
    if task is None or ctx.args.detach:
        return None
    return _follow(ctx, task)


@dataclass(frozen=True, slots=True)
class Program:
    """What each job runs.

    Args:
        command: the template; `path` is the script that stands in it as %SCRIPT.
        name: what a task is called that runs it.
        interpreter: the Python that was chosen for it.
        configs: the words that name the configs.
        changes: words of the typed command that were made absolute.
    """

    command: str
    path: str | None
    name: str
    configs: tuple[str, ...]
    interpreter: str | None = None
    changes: tuple[Change, ...] = ()


def _program(ctx: Context) -> Program:
    words = tuple(ctx.args.words)
    if ctx.args.exec is not None:
        _check_command(ctx, ctx.args.exec)
        return _typed_command(ctx, words)
    if not words:
        raise BadInput("which script?", hint=f"For example: {_EXAMPLE.splitlines()[0]}")
    return _script(ctx, words[0], words[1:])


def _check_command(ctx: Context, typed: str) -> None:
    """Refuse a command that cannot work, as it was typed and before any file is read."""
    required = command.required(with_data=ctx.args.with_data is not None)
    command.check(command.parse(typed), map(command.tag_name, secondary_of(ctx)), required)


def _script(ctx: Context, typed: str, configs: tuple[str, ...]) -> Program:
    from orchestra.files import interpreters, scripts

    script = scripts.find(typed)
    interpreter = script.interpreter
    if script.python:
        interpreter = "python3" if ctx.args.image else interpreters.active(os.environ)
    called = program_call.script_call(interpreter, data=ctx.args.with_data is not None)
    python = interpreter if script.python and not ctx.args.image else None
    return Program(called, script.path, Path(typed).stem, configs, python)


def _typed_command(ctx: Context, configs: tuple[str, ...]) -> Program:
    from orchestra.files import interpreters, local_machine

    typed, python = ctx.args.exec, None
    if not ctx.args.image and program_call.uses_python(typed):
        python = interpreters.active(os.environ)
    here = local_machine.full_path(".")
    call = program_call.independent(typed, here, _kind, python=python)
    name = Path(call.program).stem if call.program else program_call.first_word(typed)
    return Program(
        call.command,
        call.program,
        name,
        configs,
        python if call.python else None,
        call.changes,
    )


def _kind(path: str) -> Kind:
    try:
        found = Path(path)
        return Kind.FILE if found.is_file() else Kind.FOLDER if found.is_dir() else Kind.NOTHING
    except (OSError, ValueError):  # a word too long for a path
        return Kind.NOTHING


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


def _create(ctx: Context, ask: Interface, program: Program) -> Task | None:
    from orchestra.interface.runs import CreateRun, PlanRun

    prefix = f"user.{ctx.names.username}."
    new = replace(new_task(ctx, ""), command=program.command, data=_data_set(ctx, ask))
    if ctx.args.image:
        new = replace(new, binds=(*new.binds, *_binds(program)))
    files = tuple(_files(ctx, program, prefix))
    new = replace(new, origin=_origin(ctx, program, files))
    wished = prefix + (naming.part_of(program.name).replace(".", "_") or "run")
    while True:
        named, folder = _named(ctx, ask, new, wished)
        checked = _checked(named, folder, dry=ctx.args.dry_run)
        if ctx.args.dry_run:
            plan = ask(PlanRun(checked, files, task_create.PREVIEWED_JOBS))
            _note_changes(ctx, program)
            task_create.print_preview(ctx, plan.preview)
            return None
        try:
            made = ask(CreateRun(checked, files))
        except AlreadyExists:
            if ctx.args.name:
                raise
            continue  # somebody took the name a moment before
        _print(ctx, program, made)
        task_create.print_notes(ctx, ask, made.plan.preview, made.task)
        return made.task


def _data_set(ctx: Context, ask: Interface) -> str | None:
    """Return the data set that `--data` names; None if it is a path, or was not given."""
    from orchestra.interface.datasets import GetDataSet

    given = ctx.args.with_data
    if given is None or _data_path(ctx):
        return None
    try:
        return ask(GetDataSet(ctx.names.dataset(given))).name
    except NotFound:
        raise NotFound(
            f'there is no file, folder or data set "{clean(given)}" for --data.',
            hint="maestro dataset list -a shows all data sets.",
            kind="dataset",
            name=given,
        ) from None


def _binds(program: Program) -> Iterator[str]:
    """Yield binds for what a command names besides its data sets, which a container has anyway."""
    for change in program.changes:
        if change.path != program.path:
            yield f"{change.path}:{change.path}:ro"


def _files(ctx: Context, program: Program, prefix: str) -> Iterator[Files]:
    """Yield the files that become data sets: configs, data and script."""
    from orchestra.domain.models.runs import Files
    from orchestra.files import manifest

    found = _configs(ctx, program)
    yield Files("IN", prefix + _part(found), found)
    if data := _data_path(ctx):
        with checksums(ctx) as progress:
            found = manifest.scan(data, progress)
        note_left_out(ctx, found)
        yield Files("DATA", prefix + _part(found), found)
    if program.path:
        found = manifest.scan(program.path)
        yield Files(SCRIPT_TAG, prefix + _part(found), found)


def _configs(ctx: Context, program: Program) -> Manifest:
    from orchestra.files import file_lists

    others = [word for word in program.configs if not _is_script(word, program)]
    if not others:
        raise BadInput(
            "which configs?",
            hint="Name files or folders with them, one job for each file: maestro run train.py configs/",
        )
    choice = dataset_files.choice(ctx)
    if script := _below(others, program):
        choice = replace(choice, exclude=(*choice.exclude, script))
    if script or len(others) < len(program.configs):
        ctx.out.note(f"{clean(str(program.path))} is the script, and not one of the configs")
    with checksums(ctx) as progress:
        found = file_lists.of_paths(others, progress, choice)
    note_left_out(ctx, found)
    return found


def _is_script(word: str, program: Program) -> bool:
    return program.path is not None and _same_file(word, program.path)


def _below(configs: Sequence[str], program: Program) -> str | None:
    """Return a pattern for the script, if the configs are a folder that it is in."""
    from glob import escape

    if program.path is None or len(configs) != 1 or _kind(configs[0]) is not Kind.FOLDER:
        return None
    for folder in Path(program.path).parents:
        if _same_file(folder, configs[0]):
            return escape(str(Path(program.path).relative_to(folder)))
    return None


def _same_file(one: str | Path, other: str | Path) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _part(manifest: Manifest) -> str:
    return naming.part_of(Path(manifest.root).name) or "files"


def _data_path(ctx: Context) -> str | None:
    """Return the absolute path that `--data` names; None if it is the name of a data set."""
    from orchestra.files import local_machine

    given = ctx.args.with_data
    if given is None:
        return None
    path = local_machine.full_path(given)
    return path if "/" in given or _kind(path) is not Kind.NOTHING else None


def _origin(ctx: Context, program: Program, files: tuple[Files, ...]) -> Origin | None:
    from orchestra.domain.models.tasks import Origin
    from orchestra.files import origin

    if program.path is None:
        return None
    commit = origin.commit(program.path, os.environ)
    if commit.note:
        ctx.out.note(f"note: {commit.note}")
    script = next(each for each in files if each.tag == SCRIPT_TAG)
    (entry,) = script.manifest.entries
    return Origin(
        script=program.path,
        sha256=entry.sha256.hex() if entry.sha256 else None,
        interpreter=program.interpreter,
        commit=commit.name,
        dirty=commit.dirty,
    )


def _named(ctx: Context, ask: Interface, new: NewTask, wished: str) -> tuple[NewTask, str]:
    """Return the request with its name, and the task's folder; a name that is made has a new folder."""
    from orchestra.interface.names import FreeName

    volume, name = new.volume.rstrip("/"), ""
    if ctx.args.name:
        name = str(naming.parse_name(ctx.args.name, username=ctx.names.username))
    while not name:
        free = ask(FreeName(wished))
        if ctx.args.reuse or not os.path.lexists(f"{volume}/{free}"):
            name = free
        wished = next(islice(naming.numbered(free), 1, None))
    return replace(new, name=name), f"{volume}/{name}"


def _checked(new: NewTask, folder: str, *, dry: bool) -> NewTask:
    from orchestra.files import task_files

    return task_files.check(new, folder, dry=dry)


def _print(ctx: Context, program: Program, run: Run) -> None:
    ctx.out.item(
        run,
        lambda made: _lines(program, made),
        record=_record,
        key=lambda made: made.task.id,
    )
    if ctx.args.detach and ctx.out.for_people:
        ctx.out.note(task_create.watch_line(run.task))
    _note_changes(ctx, program)
    for taken in run.plan.inputs:
        if taken.live:
            tasks = human.listed([f"task {task}" for task in taken.live], most=3)
            ctx.out.note(
                f"warning: {tasks} still {'uses' if len(taken.live) == 1 else 'use'} an earlier version of "
                f"{taken.dataset.name}: jobs that have not started are held, because the file has changed"
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
    from orchestra.interface.answers.runs import Taken

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


def _note_changes(ctx: Context, program: Program) -> None:
    for change in program.changes:
        ctx.out.note(f'note: "{clean(change.typed)}" is {clean(change.path)} for the jobs')
    if ctx.args.exec is not None and program.interpreter:
        ctx.out.note(f"note: python3 is {clean(program.interpreter)} for the jobs")


def _follow(ctx: Context, task: Task) -> int:
    from orchestra.cli import task_show, task_wait
    from orchestra.interface.task_reports import ShowTask

    status = task_wait.follow(ctx, lambda _ask: [task.id])
    if ctx.out.for_people and status != INTERRUPTED:
        with ctx.interface() as ask:
            ctx.out.note(*task_show.end_lines(ask(ShowTask(str(task.id)))))
    return status


_EXAMPLE = (
    "maestro run train.py configs/*.yaml\n"
    'maestro run --exec "python3 train.py -c %IN -o %OUT" configs/ --queue gpu --detach\n'
    "maestro run train.py configs/ --data digits.npz --name mlp --retries 1"
)

VERBS = (
    Verb(
        "run",
        "run a script over config files: one job for each",
        run,
        run_arguments,
        example=_EXAMPLE,
        output=True,
        description="Run a script over config files, one job for each, and follow it to its end. The files are "
        "registered as data sets and the task is created as by `dataset create` and `task create`, all in one step. "
        "The script is called as SCRIPT -c CONFIG -o FOLDER, and -d DATA with --data; --exec gives another command. "
        "A .py runs under the Python that is active here. Ctrl-C leaves the task running. "
        "The exit status is that of `task wait`.",
    ),
)
