"""`maestro task create` and `task repro`."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli import uploading
from orchestra.cli.argument_types import unit_notes
from orchestra.cli.output import Record, clean
from orchestra.cli.startup import current_folder
from orchestra.cli.task_options import new_task
from orchestra.domain import command_advice, human
from orchestra.domain.errors import AlreadyExists
from orchestra.domain.task_text import first_in_words

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.domain.models.tasks import Task
    from orchestra.interface.answers.new_tasks import Preview
    from orchestra.interface.operation import Interface

PREVIEWED_JOBS = 3


def create(ctx: Context) -> None:
    """Create a task for a config data set."""
    make(ctx, lambda _: new_task(ctx, ctx.names.config(ctx.args.config)))


def repro(ctx: Context) -> None:
    """Create a task for the outputs of another one."""
    make(ctx, lambda _: new_task(ctx, ctx.names.config(f"task:{ctx.args.old_task}")))


def make(ctx: Context, request: Callable[[Interface], NewTask]) -> None:
    """Create the task that is requested and print it, or what it would be."""
    from orchestra.interface.new_tasks import CreateTask, PlanTask

    dry = ctx.args.dry_run
    with ctx.interface() as ask:
        if found := existing(ctx, ask):
            print_existing(ctx, found)
            return
        try:
            new = request(ask)
            preview = ask(PlanTask(new, PREVIEWED_JOBS if dry else 1))
            seen = uploading.check_files(ctx, ask, new, preview.folder)
            if dry:
                print_preview(ctx, preview)
                return
            task = ask(CreateTask(seen))
        except AlreadyExists:
            if not (found := existing(ctx, ask)):
                raise
            print_existing(ctx, found)  # the same command, a moment before this one
            return
        _print_task(ctx, task, preview.commands[0])
        print_notes(ctx, ask, preview, task)


def existing(ctx: Context, ask: Interface) -> Task | None:
    """Return the task of the wished name, if `--if-not-exists` was given and there is one."""
    from orchestra.interface.new_tasks import FindOwnTask

    if not getattr(ctx.args, "if_not_exists", False):
        return None
    return ask(FindOwnTask(ctx.args.name))


def print_notes(ctx: Context, ask: Interface, preview: Preview, task: Task) -> None:
    """Note what may not be intended, and what the new task waits for."""
    from orchestra import command_words
    from orchestra.interface.me import Me
    from orchestra.interface.task_reports import WhyTaskWaits

    for note in (*unit_notes(ctx.args), *_notes(preview)):
        ctx.out.note(note)
    if task.attach_report and not ask(Me()).mail:
        ctx.out.note(
            "note: your mail is off, so no report is sent; to turn it on: maestro user set --mail on"
        )
    if preview.unserved and not task.after:
        return  # nothing else needs to be said of why it waits
    for reason in ask(WhyTaskWaits(task.id)):
        ctx.out.note(f"note: the task is waiting. {command_words.worded(reason)}")


def print_existing(ctx: Context, task: Task) -> None:
    """Print a task that was not created because it exists."""
    ctx.out.item(
        task,
        lambda found: [
            f"task {found.id}: {found.name} exists already ({found.state}, {human.count(found.jobs, 'job')})"
        ],
        record=lambda found: created_record(found, created=False),
        key=lambda found: found.id,
    )


def print_preview(ctx: Context, preview: Preview) -> None:
    """Print what a task would be."""

    def lines(preview: Preview) -> Iterator[str]:
        yield (
            f"{preview.name} would have {human.count(preview.jobs, 'job')} on queue {preview.queue}; "
            "nothing was created"
        )
        for index, command in enumerate(preview.commands):
            yield f"    job {index:<6} {clean(command)}"

    ctx.out.item(
        preview,
        lines,
        record=lambda preview: {
            "name": preview.name,
            "queue": preview.queue.value,
            "jobs": preview.jobs,
            "folder": preview.folder,
            "commands": list(preview.commands),
        },
        key=lambda preview: preview.name,
    )
    for note in (*unit_notes(ctx.args), *_notes(preview)):
        ctx.out.note(note)


def _print_task(ctx: Context, task: Task, first: str) -> None:
    ctx.out.item(
        task,
        lambda made: task_lines(made, first),
        record=lambda made: created_record(made, created=True),
        key=lambda made: made.id,
    )
    if ctx.out.form == "table" and not ctx.out.quiet:
        ctx.out.note(watch_line(task))


def watch_line(task: Task) -> str:
    """Return how to follow a new task."""
    return f"    watch it   maestro task show {task.id} --watch"


def task_lines(task: Task, first: str) -> Iterator[str]:
    """Yield a new task in lines; `first` is the command of its first job."""
    yield f"task {task.id}: {task.name}, {human.count(task.jobs, 'job')} on queue {task.queue}"
    yield f"    first      {first_in_words(task.policy, task.jobs)}"
    last = f" ... job_configId_{task.jobs - 1}" if task.jobs > 1 else ""
    yield f"    output     {clean(task.folder)}/job_configId_0{last}"
    yield f"    job {f'{task.id}/0':<6} {clean(first)}"


def created_record(task: Task, *, created: bool) -> Record:
    """Return a new task, or one that exists already, in JSON."""
    return {
        "id": task.id,
        "name": task.name,
        "queue": task.queue.value,
        "state": task.state.value,
        "jobs": task.jobs,
        "folder": task.folder,
        "created": created,
    }


def _notes(preview: Preview) -> Iterator[str]:
    """Yield what is valid but may not be intended."""
    if preview.unserved:
        yield unserved_note(preview.unserved)
    for kind, said in command_advice.notes(preview.command, preview.sources):
        yield f"{kind}: {clean(said)}"
    if problem := syntax_error(preview.command):
        yield f"warning: bash here cannot parse the command: {clean(problem)}"
    yield from _not_found(preview.command, current_folder())
    if (image := preview.image) and not image.startswith("/") and Path(image).exists():
        yield (
            f'warning: "{clean(image)}" is an image in a registry; the file in the current folder is '
            f"./{clean(image)}"
        )


def unserved_note(why: str) -> str:
    """Return a note that no node could run the jobs of a task."""
    return f"note: {clean(why)}. The task waits until one can."


def syntax_error(command: str) -> str:
    """Return the syntax error that bash finds in a command, without running it; "" if there is none or no bash."""
    import subprocess

    if "shopt" in command or "alias" in command:  # they change how the rest is read
        return ""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            ["bash", "--norc", "-n", "-c", command],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"syntax error[^\n]*", done.stderr.decode(errors="replace"))
    return found[0] if found and done.returncode else ""


def _not_found(command: str, here: Path | None) -> Iterator[str]:
    if here is None:
        return
    for word in not_found_by_jobs(command, here):
        yield (
            f'warning: "{clean(word)}" is a file in the current folder; jobs run in folders of their own '
            f"and will not find it. Use {clean(shlex.quote(str(here / word)))}"
        )


def not_found_by_jobs(command: str, here: Path) -> list[str]:
    """Return the words that name a file in the folder `here` but not in the folder where the command runs."""
    found = [
        word.text
        for word in command_advice.relative_words(command)
        if word.folder != command_advice.UNKNOWN
        and not (word.folder and _is_file(Path(word.folder, word.text)))
        and _is_file(here / word.text)
    ]
    return list(dict.fromkeys(found))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a word too long for a path
        return False
