"""Starting the next pilot of a node: in the background by this process, or by a keeper after this one's death."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from orchestra.pilot import state_folder
from orchestra.pilot.keeper_messages import Successor
from orchestra.pilot.options import PilotOptions

DRAINING = "--draining"
"""The option of a pilot that claims nothing and exits when the jobs of the pilot before it have ended."""
STARTED_BY_KEEPER = "--heir"
"""The option with which keepers start a pilot after its agent has died."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def spawn_detached(command: Sequence[str], folder: Path, log: str = "agent.out") -> int:
    """Start a program that outlives this process and has no terminal; return its pid.

    Args:
        command: an argument list, such as one that runs a pilot with `foreground=False`.
        folder: its folder. Its output, of a pilot that before its log is open, goes to the file `log` there.
    """
    state_folder.make_private(folder)
    output = str(folder / log)
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with suppress(OSError):
        if Path(output).stat().st_size > state_folder.LOG_BYTES:
            os.truncate(output, 0)
    return os.posix_spawnp(
        command[0],
        tuple(command),
        os.environ,
        file_actions=(
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, output, append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ),
        setsid=True,
        setsigmask=(),
        setsigdef=SIGNALS,
    )


def successor_of(options: PilotOptions, folder: Path, *, draining: bool) -> Successor | None:
    """Return the agent that keepers start when this one has died; None if no command to relaunch is known.

    A shell starts it, so that the keeper never waits for a program or a folder on a file system that hangs.
    """
    if not options.relaunch:
        return None
    command = (*options.relaunch, DRAINING if draining else STARTED_BY_KEEPER)
    script = 'cd -- "$0" 2> /dev/null; output=$1; shift; exec "$@" < /dev/null >> "$output" 2>&1'
    return Successor(
        argv=("/bin/sh", "-c", script, _current_folder(), str(folder / "agent.out"), *command),
        env=dict(os.environ),
        lock=str(state_folder.lock_path(folder)),
        after=options.successor_after,
    )


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return "/"
