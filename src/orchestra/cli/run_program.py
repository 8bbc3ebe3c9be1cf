"""What the jobs of `maestro run` are to run: a script, or a command that was typed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.output import clean
from orchestra.cli.task_options import secondary_of
from orchestra.domain import command, program_call
from orchestra.domain.errors import BadInput
from orchestra.domain.program_call import Change, Kind

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.datasets import Manifest
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.domain.models.tasks import Origin


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


def find(ctx: Context) -> Program:
    """Return what each job is to run, as the arguments say.

    Raises:
        BadInput: it cannot be run.
    """
    words = tuple(ctx.args.words)
    if ctx.args.exec is not None:
        _check_command(ctx, ctx.args.exec)
        return _typed_command(ctx, words)
    if not words:
        raise BadInput("which script?", hint="For example: maestro run train.py configs/*.yaml")
    return _script(ctx, words[0], words[1:])


def _check_command(ctx: Context, typed: str) -> None:
    """Refuse a command that cannot work, as it was typed and before any file is read."""
    required = command.required(with_data=ctx.args.with_data is not None)
    command.check(command.parse(typed), map(command.tag_name, secondary_of(ctx)), required)


def _script(ctx: Context, typed: str, configs: tuple[str, ...]) -> Program:
    from orchestra.files import interpreters, scripts

    script = scripts.find(typed, contained=ctx.args.image is not None)
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
    contained = ctx.args.image is not None
    call = program_call.independent(typed, here, kind, python=python, contained=contained)
    name = Path(call.program).stem if call.program else program_call.first_word(typed)
    return Program(
        call.command,
        call.program,
        name,
        configs,
        python if call.python else None,
        call.changes,
    )


def kind(path: str) -> Kind:
    """Return what a path names here."""
    try:
        found = Path(path)
        return Kind.FILE if found.is_file() else Kind.FOLDER if found.is_dir() else Kind.NOTHING
    except (OSError, ValueError):  # a word too long for a path
        return Kind.NOTHING


def binds(program: Program) -> Iterator[str]:
    """Yield binds for what a command names besides its data sets, which a container has anyway."""
    for change in program.changes:
        if change.path != program.path:
            yield f"{change.path}:{change.path}:ro"


def origin(ctx: Context, program: Program, script: Manifest | None) -> Origin | None:
    """Return where the script comes from; note what could not be found out."""
    from orchestra.domain.models.tasks import Origin
    from orchestra.files.origin import commit

    if program.path is None or script is None:
        return None
    found = commit(os.path.realpath(program.path), os.environ)
    if found.note:
        ctx.out.note(f"note: {found.note}")
    (entry,) = script.entries
    return Origin(
        script=program.path,
        sha256=entry.sha256.hex() if entry.sha256 else None,
        interpreter=program.interpreter,
        commit=found.name,
        dirty=found.dirty,
    )


def anywhere(ctx: Context, program: Program, new: NewTask) -> NewTask:
    """Return a request with the Python of the nodes in place of this machine's, which they do not have."""
    if program.interpreter is None or program.interpreter == "python3":
        return new
    ctx.out.note("note: the nodes' python3 runs it, since they do not see this machine's Python")
    command = new.command.replace(shlex.quote(program.interpreter), "python3")
    origin = new.origin and replace(new.origin, interpreter="python3")
    return replace(new, command=command, origin=origin)


def note_changes(ctx: Context, program: Program) -> None:
    """Note which words of a typed command were replaced, and what jobs will not find."""
    from orchestra.files import local_machine

    for change in program.changes:
        ctx.out.note(f'note: "{clean(change.typed)}" is {clean(change.path)} for the jobs')
    if ctx.args.exec is not None and program.interpreter:
        ctx.out.note(f"note: python3 is {clean(program.interpreter)} for the jobs")
    here = local_machine.full_path(".")
    if module := program_call.local_module(program.command, here, kind):
        ctx.out.note(
            f'warning: "{clean(module)}" is a module of the current folder; jobs run in folders of their own and '
            "will not find it. Put PYTHONPATH=. before the program"
        )
