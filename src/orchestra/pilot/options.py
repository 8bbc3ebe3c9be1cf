"""The options of a pilot, and what follows from them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import orchestra
from orchestra.domain.models.pilots import PilotHello
from orchestra.domain.troubles import Trouble
from orchestra.files import local_machine
from orchestra.pilot import scratch_roots
from orchestra.pilot.db_thread import Connect
from orchestra.pilot.inputs import InputChecker
from orchestra.pilot.io_activity import IOActivity
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.pilot.lent import Lent
from orchestra.pilot.scratch import Scratch
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
        node: the node whose slots it serves.
        user: the user who starts it. This user may stop it, whether or not they own the node.
        cluster: the database's cluster id; pilots of different clusters have separate folders on this machine.
        connect: opens a connection to the database, in autocommit mode.
        may_conduct: as `pilot run -m`.
        root_serves_all: if root starts it, whether it runs everybody's jobs as root, or only those of root's tasks.
        lease: seconds for which jobs run on without contact to the database.
        on_lease_lost: what happens to them afterwards.
        draining: claim nothing, supervise what an earlier agent started, and exit.
        started_by_keeper: a keeper has started it, because the keeper's agent has died.
        foreground: log to stderr; a signal while jobs run leaves them to a pilot in the background.
        supervised: a service manager restarts it unless it exits with status 0. A signal while jobs run leaves them to
            their keepers, which start a draining pilot if no other one comes. A pilot that another one has taken over
            from exits with SUPERSEDED.
        patient: wait for a database that is unavailable at the start, instead of failing; a pilot in the background
            always does.
        relaunch: the command that starts this pilot again; with `--draining` or `--heir` appended, it starts the
            successor.
        successor_after: seconds without an agent after which a keeper with jobs or outcomes starts the successor.
        conductor: runs in a thread until its event is set; it reports a trouble, or None when there is none any more.
        stall_after: seconds after which a start that waits for a file system loses its slots.
        log_limit: bytes; a longer log is cut when its job has ended. 0 keeps all.
        state_folder: the pilot's folder; by default `state_folder.pilot_folder`.
        scratch_dir: where attempts get their scratch folders; by default in the pilot's folder.
        runtimes: for containers, best first; without a container a shell of the machine runs the command.
        binds: what every container of this node sees of it.
        avoid_busy_gpus: start no job on a GPU on which processes compute that are no jobs of the node.
        image_cache: the folder of pulled images; by default one in the pilot's folder.
        image_cache_size: bytes that they may take.
        image_pauses: seconds between two attempts to pull an image.
        image_silence: seconds without progress after which an attempt is given up; 0 for never.
        lent: the allocation that it runs in. It ends with that, as its jobs do, and removes its folder. One that
            a keeper has started only ends what it finds.
    """

    node: str
    cluster: str
    connect: Connect
    user: str = ""
    may_conduct: bool = False
    serve_all: bool = False
    root_serves_all: bool = True
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
    scratch_dir: Path | None = None
    runtimes: tuple[Runtime, ...] = ()
    binds: tuple[Bind, ...] = ()
    avoid_busy_gpus: bool = True
    image_cache: Path | None = None
    image_cache_size: int = 50_000_000_000
    image_pauses: tuple[float, ...] = PAUSES
    image_silence: float = SILENCE
    lent: Lent | None = None


def pilot_hello(options: PilotOptions) -> PilotHello:
    """Return what an agent tells the database about itself, with a new identity."""
    host = this_host()
    return PilotHello(
        node=options.node,
        agent=uuid4(),
        machine_id=host.machine_id,
        boot_id=host.boot_id,
        host=local_machine.host(),
        pid=os.getpid(),
        account=local_machine.account(),
        is_root=os.geteuid() == 0 and options.root_serves_all,
        serve_all=options.serve_all,
        may_conduct=options.may_conduct,
        version=orchestra.__version__,
        protocol=work.PROTOCOL,
        runtimes=tuple(f"{runtime.name} {runtime.version}" for runtime in options.runtimes),
        successor=options.draining or options.started_by_keeper,
        user=options.user,
        allocation=options.lent.hello if options.lent else None,
    )


def make_launch_config(options: PilotOptions, folder: Path, agent: UUID) -> LaunchConfig:
    """Return what this agent starts jobs with; `folder` is its pilot's."""
    io_activity = IOActivity()
    environment = _environment(options.lent)
    return LaunchConfig(
        runtimes=(BareRuntime(find_shell()), *options.runtimes),
        environment=inherited(environment, prefix=own_prefix()),
        inputs=InputChecker(io_activity),
        io_activity=io_activity,
        stall_after=options.stall_after,
        log_limit=options.log_limit,
        binds=options.binds,
        scratch=_scratch(options, folder, agent),
        cache=ImageCache(
            options.image_cache or folder / "images",
            inherited(environment),
            limit=options.image_cache_size,
            pauses=options.image_pauses,
            silence=options.image_silence,
        ),
    )


def _environment(lent: Lent | None) -> Mapping[str, str]:
    """Return the environment without what describes an allocation: a script would take it for that of its own job."""
    if lent is None:
        return os.environ
    return {name: value for name, value in os.environ.items() if not lent.is_allocations(name)}


def _scratch(options: PilotOptions, folder: Path, agent: UUID) -> Scratch:
    root = scratch_roots.root_of(folder, options.node, options.scratch_dir)
    return Scratch(root, agent, former=scratch_roots.former(folder / "scratch.json", root))
