"""A pilot as a process of its own: `python pilot_process.py URL NODE FOLDER [--master] [--draining] [--terminal]`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from orchestra.conductor.run import run as conduct
from orchestra.domain.errors import OrchestraError
from orchestra.pilot.agent import PilotOptions, run
from orchestra.store.database import connect


def main() -> int:
    url, node, folder, *flags = sys.argv[1:]
    open_connection = partial(connect, url, name=f"pilot {node}")
    foreground = "--terminal" in flags
    relaunch = (sys.executable, __file__, url, node, folder)
    options = PilotOptions(
        node=node,
        cluster="test",
        connect=open_connection,
        draining="--draining" in flags,
        foreground=foreground,
        relaunch=relaunch,
        conductor=(lambda stop: conduct(open_connection, stop, name=node))
        if "--master" in flags
        else None,
        state_folder=Path(folder),
    )
    try:
        return run(options)
    except OrchestraError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status


if __name__ == "__main__":
    sys.exit(main())
