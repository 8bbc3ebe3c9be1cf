"""`maestro demo`: a grid of real trainings from start to end, in a folder of its own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.registry import Verb
from orchestra.domain import human
from orchestra.domain.errors import DatabaseUnavailable, Refused, VolumeError
from orchestra.domain.secrets import without_secrets
from orchestra.homefolder import expanded, home_folder

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.tasks import Task

PAUSE = 0.3
PATIENCE = 60.0
"""Seconds that the demo waits for a database that cannot be reached."""
MAIL_PATIENCE = 10.0
NEEDS = ("sklearn", "numpy")


class _CommandFailed(Exception):
    """A command of the demo failed with this exit status and printed why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Place:
    """The demo's folder and its contents."""

    folder: Path

    @property
    def configuration(self) -> Path:
        return self.folder / "orchestra.json"

    @property
    def results(self) -> Path:
        return self.folder / "results"


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="the folder for everything (default: ~/orchestra-demo)",
    )
    parser.add_argument(
        "--cpus", type=whole, metavar="N", help="CPU slots (default: all processors)"
    )
    parser.add_argument(
        *("--containerImage", "--image"),
        metavar="FILE",
        type=Path,
        help="train inside this image; python -m orchestra.demo.pack_image FILE writes one",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the database and the pilot running"
    )


def _demo(ctx: Context) -> int:
    from orchestra.config import SYSTEM_VARIABLE

    _check_packages()
    image = _image(ctx.args.containerImage)
    place = _prepare(ctx.args.folder)
    # The demo has a cluster of its own, so this account's configuration does not count.
    for variable in [name for name in os.environ if name.startswith("MAESTRO_")]:
        if variable != SYSTEM_VARIABLE:
            del os.environ[variable]
    os.environ["MAESTRO_CONFIG"] = str(place.configuration)
    os.chdir(place.folder)
    ctx.out.say(f"A grid of 36 small neural networks on handwritten digits, in {place.folder}", "")
    try:
        task = _work(ctx, place, image)
        _sum_up(ctx, place, task)
    except (KeyboardInterrupt, _CommandFailed) as error:
        # Without the frames: one may hold a connection, which would keep the database from being stopped.
        interruption = error.with_traceback(None)
        interruption.__context__ = None
    except BaseException:
        _stop()
        raise
    else:
        if not ctx.args.keep:
            _command("down")
        _suggest(ctx, place, task)
        return 0
    _stop()
    if isinstance(interruption, _CommandFailed):  # it has printed why
        return interruption.status
    raise interruption


def _check_packages() -> None:
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise Refused(
            f"the demo trains with scikit-learn, and {human.listed(missing)} is not installed.",
            hint=f"{sys.executable} -m pip install 'orchestra-hpc[demo]'",
        )


def _image(wanted: Path | None) -> Path | None:
    """Return the image's absolute path, because the demo works in another folder."""
    if wanted is None:
        return None
    if not wanted.exists():
        raise Refused(
            f"there is no image {wanted}.",
            hint=f"{sys.executable} -m orchestra.demo.pack_image {shlex.quote(str(wanted))}   writes one.",
        )
    return wanted.absolute()


def _prepare(wanted: Path | None) -> _Place:
    """Create the folder with its own configuration."""
    folder = expanded(wanted or _free_folder()).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Refused(
                f"{folder} is not empty.", hint="Choose a new folder: maestro demo --folder FOLDER"
            )
        place = _Place(folder)
        place.results.mkdir()
        place.configuration.write_text(json.dumps(_settings(place), indent=1) + "\n")
    except OSError as error:
        raise VolumeError(
            f"{folder} cannot be used for the demo: {error.strerror}.",
            hint="Choose another folder: maestro demo --folder FOLDER",
        ) from None
    return place


def _free_folder() -> Path:
    """Return ~/orchestra-demo, or ~/orchestra-demo-2 and so on if it exists."""
    base = (home_folder() or Path.cwd()) / "orchestra-demo"
    number, folder = 1, base
    while folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def _settings(place: _Place) -> dict[str, str | None]:
    from orchestra.config import read_system_file
    from orchestra.store.postgres.datafolder import network_file_system

    local = place.folder
    if network_file_system(place.folder):
        local = Path(f"/var/tmp/orchestra-demo-{os.geteuid()}-{time.time_ns():x}")  # noqa: S108 - made private
    system = read_system_file(os.environ)
    return {
        **dict.fromkeys(system.values if system else ()),  # null: the default
        "data_dir": str(local / "database"),
        "state_dir": str(local / "pilots"),
        "volume": str(place.results),
    }


def _command(*words: str) -> None:
    """Print a command as it would be typed, and run it.

    Raises:
        _CommandFailed: it failed.
    """
    from orchestra.cli import main

    print(f"$ maestro {shlex.join(words)}", flush=True)
    if status := main.main(list(words)):
        raise _CommandFailed(status)
    print(flush=True)


def _work(ctx: Context, place: _Place, image: Path | None) -> Task:
    from orchestra.config import load
    from orchestra.demo import IN_IMAGE, MAKE_INPUTS, TRAIN
    from orchestra.wiring.identity import user_name

    with ctx.out.progress("writing the inputs"):
        make = [sys.executable, str(MAKE_INPUTS), str(place.folder)]
        subprocess.run(make, check=True, env=without_secrets(os.environ))
    user = user_name(load())
    cpus = ["--cpus", str(ctx.args.cpus)] if ctx.args.cpus is not None else []
    _command("up", "--detach", *cpus)
    _command("dataset", "create", "-n", f"user.{user}.grid", "-p", "configs")
    _command("dataset", "create", "-n", f"user.{user}.digits", "-p", "digits.npz")
    name = f"user.{user}.mlp"
    script = f"{shlex.quote(sys.executable)} {shlex.quote(str(TRAIN))}"
    inside: tuple[str, ...] = ()
    if image:
        # The image has its own Python, and the script.
        script, inside = f"python3 {IN_IMAGE}", ("--containerImage", str(image))
    _command(
        *("task", "create", "-c", f"user.{user}.grid", "-d", f"user.{user}.digits"),
        *("-t", name, *inside, "--exec", f"{script} -d %DATA -c %IN -o %OUT"),
    )
    _say_page(ctx, name)
    return _follow(ctx, name)


def _say_page(ctx: Context, name: str) -> None:
    """Print where the task's page is, if the pages are served."""
    from orchestra.config import load
    from orchestra.services.database import admin
    from orchestra.services.tasks import selection
    from orchestra.wiring.database import open_database
    from orchestra.wiring.server_processes import running_servers

    settings = load()
    with closing(open_database(settings)) as conn:
        task = selection.find(conn, name)
        running = running_servers(settings, admin.cluster_id(conn))
    if running:
        ctx.out.say(f"Its page, while it runs: {running[-1].url}/tasks/{task.id}", "")


def _follow(ctx: Context, name: str) -> Task:
    """Wait until the task has ended, and show its progress on a terminal, even while the database is unavailable."""
    patience = time.monotonic() + PATIENCE
    with ctx.out.progress("REGISTERED", 36, "jobs") as progress:
        while True:
            try:
                for task in _poll(name):
                    patience = time.monotonic() + PATIENCE
                    if not task.state.is_live and task.pending_operation is None:
                        return task
                    progress.set(task.counts.ended, task.state.value)
                    time.sleep(PAUSE)
            except DatabaseUnavailable:
                if time.monotonic() > patience:
                    raise
                time.sleep(PAUSE)


def _poll(name: str) -> Iterator[Task]:
    """Yield the present state of a task, again and again, over one connection."""
    from orchestra.config import load
    from orchestra.interface.selection import FindTask
    from orchestra.wiring.interface import open_interface

    with closing(open_interface(load())) as ask:
        while True:
            yield ask(FindTask(name))


def _sum_up(ctx: Context, place: _Place, task: Task) -> None:
    """Show the results, with the commands that print them."""
    _command("task", "show", str(task.id))
    ctx.out.say("The best configs by accuracy on digits that the networks were not trained on:")
    _command("task", "results", str(task.id), "--best", "5")
    if find_spec("matplotlib"):
        _command("task", "plot", str(task.id), "--out", str(place.folder / "accuracy.png"))
    if file := _mail_of(task):
        ctx.out.say("The notification is a file, because the demo has no mail server:")
        ctx.out.say(f"  {file}", "")


def _mail_of(task: Task) -> str | None:
    """Return the file with the notification of a task, once the conductor has written it."""
    from orchestra.config import load
    from orchestra.interface.task_reports import ShowTask
    from orchestra.wiring.interface import open_interface

    give_up = time.monotonic() + MAIL_PATIENCE
    with closing(open_interface(load())) as ask:
        while time.monotonic() < give_up:
            report = ask(ShowTask(str(task.id)))
            if sent := [mail.sent_how for mail in report.mails if mail.sent_how]:
                return sent[-1]
            time.sleep(PAUSE)
    return None


def _suggest(ctx: Context, place: _Place, task: Task) -> None:
    from orchestra.demo.make_inputs import NEGATIVE_LEARNING_RATE

    commands = [
        ("task list -a", "all tasks"),
        (f"task show {task.id}", "this one, with its failures"),
        (f"task results {task.id} --sort -accuracy", "the results, best first"),
        (f"task plot {task.id} -m seconds", "another picture"),
        ("mail show 1", "the notification"),
        (f"job list {task.id}", "its jobs"),
        (
            f"job logs {task.id}/{NEGATIVE_LEARNING_RATE}",
            "why this job failed: its config is invalid on purpose",
        ),
        ("up --detach", "start the pilot and the pages again"),
        ("web", f"open the pages in a browser; this task's is /tasks/{task.id}"),
        (f"task retry {task.id}", "run the two failed jobs again"),
        ("down", "stop everything"),
    ]
    width = max(len(command) for command, _ in commands)
    ctx.out.say("Try these commands:")
    ctx.out.say(f"  export MAESTRO_CONFIG={shlex.quote(str(place.configuration))}")
    for command, meaning in commands:
        ctx.out.say(f"  maestro {command:<{width}}   # {meaning}")
    running = (
        "The database and the pilot are still running"
        if ctx.args.keep
        else "Nothing is left running"
    )
    ctx.out.say(f"{running}. Everything is in {place.folder}")


def _stop() -> None:
    """Stop what an interrupted demo has started."""
    from orchestra.cli import main

    print("\nThe demo was interrupted; stopping what it started.", file=sys.stderr)
    main.main(["down", "--kill", "--yes"])


VERBS = (
    Verb(
        "demo",
        "train a real model over a grid, from start to finish",
        _demo,
        _arguments,
        description="Train 36 small neural networks on handwritten digits: two of them fail on purpose. "
        "Everything stays in one folder, with a database of its own.",
        example="maestro demo\nmaestro demo --folder /tmp/my-demo\nmaestro demo --containerImage digits.sif",
    ),
)
