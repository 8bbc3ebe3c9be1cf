"""Pilots: what one is started with, its folder, and how it is run or spawned."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from orchestra.domain.errors import Refused
from orchestra.wiring.database import reconnect, uses_server
from orchestra.wiring.folders import pilot_folder, pilots_folder, shared_images
from orchestra.wiring.identity import user_name

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    import psycopg

    from orchestra.config import Settings
    from orchestra.domain.state_inventory import StateInventory
    from orchestra.domain.troubles import Trouble
    from orchestra.pilot.lent import Lent


@dataclass(frozen=True, slots=True)
class PilotSpec:
    """The options of a pilot. `config` is the configuration file that was named on the command line.

    `allocation` is the file that describes the allocation of a pool that it runs in.
    """

    node: str
    prefers_to_conduct: bool = False
    serve_all: bool = False
    draining: bool = False
    started_by_keeper: bool = False
    config: str | None = None
    allow_root: bool = False
    allocation: Path | None = None

    def background_command(self) -> tuple[str, ...]:
        """Return the argument list that runs it in the background."""
        return (*self.command(), "--background")

    def command(self) -> tuple[str, ...]:
        """Return the argument list that runs it in the foreground, from any folder."""
        # -P: a json.py in the current folder must not replace the standard library's.
        words = [sys.executable, "-P", "-m", "orchestra.cli.main", "pilot", "run"]
        if self.allocation:
            return (*words, "--allocation", str(self.allocation))
        words += ["-n", self.node]
        words += ["-m"] * self.prefers_to_conduct + ["--serve-all"] * self.serve_all
        words += ["--allow-root"] * self.allow_root
        if self.config:
            words += ["--config", os.path.abspath(self.config)]  # noqa: PTH100 - symlinks are kept
        return tuple(words)


def check_root(
    settings: Settings, conn: psycopg.Connection, *, allowed: bool, serve_all: bool = False
) -> None:
    """Refuse a pilot of root where other users can create tasks, unless the caller or the configuration allows it.

    In a database of root's own, others can create tasks through a `maestro server` at any time. Unless it is allowed, a
    pilot of root runs only root's tasks there.

    Raises:
        Refused: it would run everybody's jobs as root.
    """
    from orchestra.store.cluster import health

    if serve_all or uses_server(settings) or not health.is_private(conn):
        refuse_root(settings, allowed=allowed)


def refuse_root(settings: Settings, *, allowed: bool) -> None:
    """Refuse root, unless the caller or the configuration allows its pilot to run everybody's jobs.

    Raises:
        Refused: this is root.
    """
    if os.geteuid() != 0 or allowed or settings.allow_root:
        return
    raise Refused(
        "this is root, and a pilot started by root runs everybody's jobs as root: everybody who can create tasks in "
        "this database could do anything on this machine.",
        hint="Start it from an ordinary account, which runs its own tasks.\n"
        'If everybody who may create tasks may be root here, use --allow-root ("allow_root": true in the '
        "configuration, MAESTRO_ALLOW_ROOT=1).",
    )


def run_pilot(
    settings: Settings,
    cluster: str,
    spec: PilotSpec,
    *,
    foreground: bool,
    supervised: bool = False,
    lent: Lent | None = None,
) -> int:
    """Serve a node until asked to leave; returns the exit status. A conductor runs in a thread of the same process.

    Args:
        lent: the allocation that it runs in.

    Raises:
        OrchestraError: it could not start.
    """
    from orchestra.pilot import agent
    from orchestra.pilot.options import PilotOptions
    from orchestra.runtimes import podman_pause
    from orchestra.wiring.containers import container_binds, container_runtimes

    # An embedded database is only away together with its machine, so no other node could take the jobs.
    keep = settings.on_lease_lost == "keep" or not uses_server(settings)
    lost: Literal["kill", "keep"] = "keep" if keep else "kill"
    only_ends = spec.draining or (lent is not None and spec.started_by_keeper)
    options = PilotOptions(
        node=spec.node,
        user=user_name(settings),
        cluster=cluster,
        connect=lambda: reconnect(settings, name=f"maestro pilot {spec.node}", repeats=True),
        may_conduct=spec.prefers_to_conduct,
        serve_all=spec.serve_all,
        root_serves_all=spec.allow_root or settings.allow_root,
        lease=settings.lease,
        log_limit=settings.log_limit,
        on_lease_lost=lost,
        draining=spec.draining,
        started_by_keeper=spec.started_by_keeper,
        foreground=foreground,
        supervised=supervised,
        relaunch=spec.background_command(),
        conductor=None if only_ends else _conductor(settings, spec),
        state_folder=pilot_folder(settings, cluster, spec.node),
        scratch_dir=settings.scratch_dir,
        runtimes=container_runtimes(settings),
        binds=container_binds(settings),
        avoid_busy_gpus=settings.avoid_busy_gpus,
        image_cache=settings.image_cache or _images(settings, cluster, spec),
        image_cache_size=settings.image_cache_size,
        image_silence=settings.image_fetch_timeout,
        successor_after=1.0 if lent else 5.0,
        lent=lent,
    )
    try:
        return agent.run(options)
    finally:
        podman_pause.clean_up(os.environ)


def _images(settings: Settings, cluster: str, spec: PilotSpec) -> Path | None:
    """Return the cache that pilots of pools on this machine share, since each of them comes with a new folder."""
    if spec.allocation is None:
        return None
    return shared_images(settings, cluster)


def _conductor(
    settings: Settings, spec: PilotSpec
) -> Callable[[threading.Event, Callable[[Trouble | None], None]], None]:
    def run(stop: threading.Event, say: Callable[[Trouble | None], None]) -> None:
        from orchestra.wiring.conductor import conduct

        conduct(settings, stop, name=spec.node, preferred=spec.prefers_to_conduct, say=say)

    return run


def spawn_pilot(settings: Settings, cluster: str, spec: PilotSpec) -> int:
    """Start a pilot that outlives this process; returns its pid.

    Raises:
        VolumeError: its folder cannot be created.
    """
    from orchestra.pilot import successor

    command = spec.background_command() + ((successor.DRAINING,) if spec.draining else ())
    return successor.spawn_detached(command, pilot_folder(settings, cluster, spec.node))


def state_inventories(settings: Settings) -> list[StateInventory]:
    """Return what pilots of this account have left on this machine, including those of other databases."""
    from orchestra.pilot.state_inventory import state_inventories as read

    return read(pilots_folder(settings))
