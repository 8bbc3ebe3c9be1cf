"""`maestro job run --here`: the same command, by hand, in a fresh folder below the current one."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from orchestra.cli.output import clean
from orchestra.domain.errors import BadInput, VolumeError

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.services.by_hand import ByHand


def arguments(parser: Parser) -> None:
    """Add the arguments of `job run`."""
    parser.add_argument("job", metavar="TASK/N", help="for example 3/17")
    parser.add_argument(
        "--here", action="store_true", help="on this machine, below the current folder"
    )


def run(ctx: Context) -> int:
    """Run a job's command here."""
    from orchestra.services import by_hand

    if not ctx.args.here:
        raise BadInput(
            "job run works on this machine alone so far.",
            hint=f"maestro job run --here {ctx.args.job}   or maestro job retry {ctx.args.job}",
        )
    with ctx.database() as conn:
        job = by_hand.look(conn, ctx.args.job)
    if job.task.image:
        raise BadInput(
            f"job {ctx.args.job} runs in the image {job.task.image}, which cannot be done by hand yet."
        )
    folder, number = _fresh_folder(job)
    command = job.command(str(folder))
    ctx.out.note(f"in {clean(str(folder))}: {clean(command)}")
    status = _spawn(job, command, folder, number)
    complete = job.task.complete_file
    if status == 0 and complete and not (folder / complete).exists():
        ctx.out.note(f'note: there is no file "{complete}", so this attempt would count as failed')
    return status


def _fresh_folder(job: ByHand) -> tuple[Path, int]:
    """Make the first folder that is not there yet, named by task, job and a number."""
    number = 1
    while True:
        folder = Path.cwd() / f"orchestra-run_{job.task.id}_{job.ordinal}_{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        except OSError as error:
            raise VolumeError(f"{folder} cannot be made: {error.strerror}.") from None
        else:
            return folder, number


def _spawn(job: ByHand, command: str, folder: Path, number: int) -> int:
    from orchestra.runtimes import RuntimeJob
    from orchestra.runtimes.bare import BareRuntime, find_shell
    from orchestra.runtimes.environment import JobValues, environment, inherited, own_prefix

    values = JobValues(
        task=job.task.id,
        job=job.ordinal,
        attempt=number,
        data=job.inputs["DATA"],
        config=job.inputs["IN"],
        out=str(folder),
        volume=job.task.volume,
        devices=os.environ.get("CUDA_VISIBLE_DEVICES", "0") if job.task.resources.gpus else "",
        cores=job.task.resources.cores,
        given=job.task.env,
    )
    variables = environment(inherited(os.environ, prefix=own_prefix()), values)
    argv = BareRuntime(find_shell()).argv(RuntimeJob(command, PurePosixPath(folder), variables))
    # Ctrl-C reaches the command by itself, as it is in the foreground; we wait for what it makes of it.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ended = subprocess.Popen(argv, env=variables, preexec_fn=_interruptible).wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return ended if ended >= 0 else 128 - ended


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
