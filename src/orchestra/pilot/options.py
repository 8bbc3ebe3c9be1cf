"""How a pilot is to be run, and what follows from it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import orchestra
from orchestra.domain.models.pilots import PilotHello
from orchestra.domain.troubles import Trouble
from orchestra.files import local_machine
from orchestra.pilot.context import LaunchConfig
from orchestra.pilot.db_thread import Connect
from orchestra.pilot.inputs import InputChecker
from orchestra.pilot.io_activity import IOActivity
from orchestra.runtimes import Bind, Runtime
from orchestra.runtimes.bare import BareRuntime, find_shell
from orchestra.runtimes.environment import inherited, own_prefix
from orchestra.runtimes.images.cache import ImageCache
from orchestra.runtimes.images.fetcher import PAUSES, SILENCE
from orchestra.services import work
from orchestra.store.postgres.datafolder import this_host

Conductor = Callable[[threading.Event, Callable[[Trouble | None], None]], None]


@dataclass(frozen=True, slots=True)
class PilotOptions:
    """How to run a pilot.

    Args:
        node: whose slots it serves.
        user: who starts it, and so may end it, whoever owns the node.
        cluster: the database's cluster id; pilots of different clusters keep apart what is theirs on this machine.
        connect: makes a connection to the database, in autocommit mode.
        may_conduct: as `pilot run -m`.
        lease: seconds for which jobs run on without a word from the database.
        on_lease_lost: what becomes of them then.
        draining: take nothing new; look after what an earlier agent started, and end.
        started_by_keeper: a keeper has started it, because its agent has died.
        foreground: log to stderr; a signal while jobs run leaves them to a pilot in the background.
        supervised: a service manager starts it again when it ends, unless it ends well. A signal while jobs run leaves
            them to their keepers then, which start a draining pilot if no other one comes; and one that another pilot
            has taken over from ends with SUPERSEDED.
        patient: wait for a database that is away at the start, instead of failing; one in the background does.
        relaunch: the command that starts this pilot again; with `--draining` or `--heir` after it, it is its own
            successor.
        heir_after: seconds after which a keeper with something to look after starts it, if its agent has died.
        conductor: runs in a thread until its event is set; it says what does not go on, None when all does.
        stall_after: seconds after which a start that waits for a file system loses its slots.
        log_limit: bytes; a longer log is cut when its job has ended. 0 keeps all.
        state_folder: where the pilot keeps what is its own; by default as `home.pilot_folder` says.
        runtimes: for containers, best first; without a container a shell of the machine runs the command.
        binds: what every container of this node sees of it.
        image_cache: the folder of fetched images; by default one in the pilot's own.
        image_cache_size: bytes that they may take.
        image_pauses: seconds between one try to fetch an image and the next.
        image_silence: seconds without progress after which a try is given up; 0 waits for ever.
    """

    node: str
    cluster: str
    connect: Connect
    user: str = ""
    may_conduct: bool = False
    serve_all: bool = False
    lease: float = work.LEASE_SECONDS
    on_lease_lost: Literal["kill", "keep"] = "kill"
    draining: bool = False
    started_by_keeper: bool = False
    foreground: bool = True
    supervised: bool = False
    patient: bool = False
    relaunch: tuple[str, ...] = ()
    successor_after: float = 5.0
    conductor: Conductor | None = None
    stall_after: float = 30.0
    log_limit: int = 10_000_000
    state_folder: Path | None = None
    runtimes: tuple[Runtime, ...] = ()
    binds: tuple[Bind, ...] = ()
    image_cache: Path | None = None
    image_cache_size: int = 50_000_000_000
    image_pauses: tuple[float, ...] = PAUSES
    image_silence: float = SILENCE


def pilot_hello(options: PilotOptions) -> PilotHello:
    """Give what an agent says of itself to the database, with a new identity."""
    host = this_host()
    return PilotHello(
        node=options.node,
        agent=uuid4(),
        machine_id=host.machine_id,
        boot_id=host.boot_id,
        host=local_machine.host(),
        pid=os.getpid(),
        account=local_machine.account(),
        is_root=os.geteuid() == 0,
        serve_all=options.serve_all,
        may_conduct=options.may_conduct,
        version=orchestra.__version__,
        protocol=work.PROTOCOL,
        runtimes=tuple(f"{runtime.name} {runtime.version}" for runtime in options.runtimes),
        successor=options.draining or options.started_by_keeper,
        user=options.user,
    )


def make_launch_config(options: PilotOptions, folder: Path) -> LaunchConfig:
    """Give what this pilot starts jobs with; `folder` is its own."""
    io_activity = IOActivity()
    return LaunchConfig(
        runtimes=(BareRuntime(find_shell()), *options.runtimes),
        environment=inherited(os.environ, prefix=own_prefix()),
        inputs=InputChecker(io_activity),
        io_activity=io_activity,
        stall_after=options.stall_after,
        log_limit=options.log_limit,
        binds=options.binds,
        cache=ImageCache(
            options.image_cache or folder / "images",
            inherited(os.environ),
            limit=options.image_cache_size,
            pauses=options.image_pauses,
            silence=options.image_silence,
        ),
    )
