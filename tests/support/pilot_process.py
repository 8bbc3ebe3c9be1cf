"""A pilot as a process of its own: `python pilot_process.py URL NODE FOLDER [FLAG...]`.

Flags: --master, --draining, --heir, --terminal; --lease=SECONDS; --successor-after=SECONDS; --stall-after=SECONDS;
--log-limit=BYTES; --margin=SECONDS and --patience=SECONDS for the conductor; --runtime=PROGRAM;
--image-cache-size=BYTES; --image-pauses=SECONDS,SECONDS; --image-silence=SECONDS.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from orchestra.cli.exit_statuses import status_of
from orchestra.conductor.run import run as conduct
from orchestra.domain.errors import OrchestraError
from orchestra.domain.leases import MARGIN
from orchestra.pilot.agent import run
from orchestra.pilot.options import PilotOptions
from orchestra.runtimes.discovery import find_runtimes
from orchestra.runtimes.images.fetcher import SILENCE
from orchestra.services.database.recovery import PATIENCE
from orchestra.services.work import LEASE_SECONDS
from orchestra.store.driver.database import connect


def main() -> int:
    url, node, folder, *flags = sys.argv[1:]
    open_connection = partial(connect, url, name=f"pilot {node}")
    foreground = "--terminal" in flags
    again = [flag for flag in flags if flag not in ("--draining", "--heir", "--terminal")]
    relaunch = (sys.executable, __file__, url, node, folder, *again)
    texts = {
        name: value
        for name, _, value in (flag.removeprefix("--").partition("=") for flag in flags)
        if value
    }
    runtime, pauses = texts.pop("runtime", "none"), texts.pop("image-pauses", "0.1,0.2")
    seconds = {name: float(value) for name, value in texts.items()}
    lease = seconds.get("lease", LEASE_SECONDS)
    margin, patience = seconds.get("margin", MARGIN), seconds.get("patience", PATIENCE)
    options = PilotOptions(
        node=node,
        cluster="test",
        connect=open_connection,
        lease=lease,
        draining="--draining" in flags,
        started_by_keeper="--heir" in flags,
        foreground=foreground,
        relaunch=relaunch,
        log_limit=int(seconds.get("log-limit", 10_000_000)),
        successor_after=seconds.get("successor-after", 5.0),
        stall_after=seconds.get("stall-after", 30.0),
        conductor=(
            lambda stop, say: conduct(
                open_connection, stop, name=node, margin=margin, patience=patience, say=say
            )
        )
        if "--master" in flags
        else None,
        state_folder=Path(folder),
        runtimes=find_runtimes(runtime, os.environ),
        image_cache_size=int(seconds.get("image-cache-size", 10_000_000_000)),
        image_pauses=tuple(map(float, pauses.split(","))),
        image_silence=seconds.get("image-silence", SILENCE),
    )
    try:
        return run(options)
    except OrchestraError as error:
        print(f"error: {error}", file=sys.stderr)
        return status_of(error)


if __name__ == "__main__":
    sys.exit(main())
