"""`maestro job run --here`: run a job's command on this machine, in a new folder below the current one."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from uuid import uuid4

from orchestra.cli.local.connection import database
from orchestra.cli.output import clean
from orchestra.domain.errors import BadInput, VolumeError

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.binds import Bind
    from orchestra.interface.answers.local_run import LocalRun
    from orchestra.runtimes import RuntimeJob
    from orchestra.runtimes.discovery import ContainerRuntime
    from orchestra.runtimes.environment import JobValues


def arguments(parser: Parser) -> None:
    """Add the arguments of `job run`."""
    parser.add_argument("job", metavar="TASK/N", help="for example 3/17")
    parser.add_argument(
        "--here", action="store_true", help="on this machine, below the current folder"
    )


def run(ctx: Context) -> int:
    """Run a job's command; returns its exit status."""
    from orchestra.files import fs_health
    from orchestra.services.jobs import local_run

    if not ctx.args.here:
        raise BadInput(
            "job run works on this machine only.",
            hint=f"maestro job run --here {ctx.args.job}   or maestro job retry {ctx.args.job}",
        )
    with database(ctx) as conn:
        job = local_run.read(conn, ctx.names.job(ctx.args.job))
    fs_health.check(".", *job.reads)
    image = job.task.image
    container = _container(ctx, image) if image else None
    folder, number = _fresh_folder(job)
    command = job.command(str(folder))
    ctx.out.note(f"in {clean(str(folder))}: {clean(command)}")
    with _scratch_folder(ctx.settings.scratch_dir) as scratch:
        status = _spawn(_values(job, folder, number, scratch), command, job, container)
    complete = job.task.complete_file
    if status == 0 and complete and not (folder / complete).exists():
        ctx.out.note(f'note: there is no file "{complete}", so a job would have failed')
    return status


def _fresh_folder(job: LocalRun) -> tuple[Path, int]:
    """Create the first folder that does not exist yet, named after the task, the job and a number."""
    number = 1
    while True:
        folder = Path.cwd() / f"orchestra-run_{job.task.id}_{job.index}_{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        except OSError as error:
            raise VolumeError(f"{folder} cannot be created: {error.strerror}.") from None
        else:
            return folder, number


@contextmanager
def _scratch_folder(chosen: Path | None) -> Iterator[str]:
    """Make an empty folder on a local disk, and remove it afterwards with all that is in it."""
    from orchestra.files import tree_removal

    parent = os.path.realpath(chosen or tempfile.gettempdir())
    try:
        folder = tempfile.mkdtemp(prefix="orchestra-scratch-", dir=parent)
    except OSError as error:
        raise VolumeError(f"no scratch folder can be made in {parent}: {error.strerror}.") from None
    try:
        yield folder
    finally:
        opened = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            tree_removal.remove(Path(folder).name, opened, folder, tree_removal.Removal())
        finally:
            os.close(opened)


@dataclass(frozen=True, slots=True)
class _Container:
    """The runtime of a job's image, the prepared image, and the paths that every container sees."""

    runtime: ContainerRuntime
    image: str
    binds: tuple[Bind, ...]


def _container(ctx: Context, image: str) -> _Container:
    """Prepare a task's image.

    Raises:
        BadInput: this machine has no container runtime for it.
        ImageError: it cannot be prepared.
    """
    from orchestra.runtimes.discovery import ContainerRuntime
    from orchestra.runtimes.images.request import ImageRequest
    from orchestra.wiring.containers import container_binds, container_runtimes, image_cache

    runtimes = container_runtimes(ctx.settings)
    runtime = next((each for each in runtimes if each.supports(image)), None)
    if not isinstance(runtime, ContainerRuntime):
        raise BadInput(
            f"this machine has no container runtime for the image {clean(image)}.",
            hint="maestro doctor lists those that it has, maestro node list -o json those of the nodes.",
        )
    cache = image_cache(ctx.settings)
    request = ImageRequest(lambda text: ctx.out.note(f"preparing {clean(image)}: {clean(text)}"))
    prepared = cache.prepare(runtime, image, request)
    return _Container(runtime, prepared.image, container_binds(ctx.settings))


def _values(job: LocalRun, folder: Path, number: int, scratch: str) -> JobValues:
    from orchestra.domain.states import Queue
    from orchestra.runtimes.environment import JobValues

    on_gpu = job.task.queue is Queue.GPU
    return JobValues(
        task=job.task.id,
        job=job.index,
        attempt=number,
        data=job.inputs.get("DATA"),
        config=job.inputs["IN"],
        out=str(folder),
        volume=job.task.volume,
        scratch=scratch,
        token=str(uuid4()),
        devices=os.environ.get("CUDA_VISIBLE_DEVICES", "0") if on_gpu else "",
        cores=job.task.resources.cores,
        given=job.task.env,
    )


def _spawn(values: JobValues, command: str, job: LocalRun, container: _Container | None) -> int:
    from orchestra.runtimes import RuntimeJob
    from orchestra.runtimes.bare import BareRuntime, find_shell
    from orchestra.runtimes.environment import environment, inherited, own_prefix

    host = inherited(os.environ, prefix=own_prefix())
    plain = RuntimeJob(
        command,
        PurePosixPath(values.out),
        environment(host, values),
        host=host,
        label=f"{job.task.id}/{job.index}/local-run",
        token=values.token or "",
    )
    if container is None:
        shell = BareRuntime(find_shell())
        return _wait(shell.argv(plain), shell.environment(plain))
    ready = _inside(plain, values, job, container)
    runtime = container.runtime
    try:
        return _wait(
            runtime.argv(ready), {**runtime.environment(ready), "ORCHESTRA_TOKEN": ready.token}
        )
    finally:
        _remove_container(runtime, ready)


def _inside(
    plain: RuntimeJob, values: JobValues, job: LocalRun, container: _Container
) -> RuntimeJob:
    """Return the job as it runs in its container."""
    from orchestra.runtimes import container_binds
    from orchestra.runtimes.environment import environment

    own = (plain.folder, *([PurePosixPath(values.scratch)] if values.scratch else ()))
    binds = container_binds.binds(
        own=own, reads=job.reads, node=container.binds, task=job.task.binds
    )
    binds = container_binds.with_linked(binds, list(job.inputs.values()))
    home = container_binds.home(plain.host, binds, plain.folder)
    gpus = tuple(values.devices.split(",")) if values.devices else ()
    return replace(
        plain,
        environment=environment({"HOME": home}, values),
        binds=binds,
        gpus=gpus,
        image=container.image,
    )


def _remove_container(runtime: ContainerRuntime, job: RuntimeJob) -> None:
    """Remove a container that outlived its client, as after Ctrl-C."""
    look = runtime.list_containers(job.token)
    if not look:
        return
    environ = runtime.environment(job)
    found = subprocess.run(look, env=environ, capture_output=True, text=True, check=False).stdout
    if found.split():
        left = runtime.remove_containers(tuple(found.split()))
        subprocess.run(left, env=environ, capture_output=True, check=False)


def _wait(argv: tuple[str, ...], environ: dict[str, str]) -> int:
    """Run it in the foreground; returns its exit status as a shell does."""
    # The terminal sends Ctrl-C to the command as well; this process waits until the command has ended.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ended = subprocess.Popen(argv, env=environ, cwd="/", preexec_fn=_interruptible).wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return ended if ended >= 0 else 128 - ended


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
