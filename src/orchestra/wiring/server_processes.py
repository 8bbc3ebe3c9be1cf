"""Servers in the background: which run, start one, end those that were started."""

from __future__ import annotations

import os
import sys
from time import monotonic, sleep
from typing import TYPE_CHECKING

from orchestra.domain.errors import OrchestraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestra.api.records import Record
    from orchestra.config import Settings

SERVER_LOG = "server.log"
START_WITHIN = 20.0
END_WITHIN = 5.0


def running_servers(settings: Settings, cluster: str) -> list[Record]:
    """Return the servers of this account for a cluster on this machine, the oldest first."""
    from orchestra.api import records
    from orchestra.wiring.folders import servers_folder

    return records.running(servers_folder(settings, cluster))


def start_server(settings: Settings, cluster: str, config: str | None) -> Record:
    """Start a server that outlives this process, and return where it listens.

    Raises:
        OrchestraError: it did not start; the sentence names its log.
    """
    from orchestra.pilot.successor import spawn_detached
    from orchestra.wiring.folders import servers_folder

    # -P: a json.py in the current folder must not replace the standard library's.
    command = [sys.executable, "-P", "-m", "orchestra.cli.main", "server", "run", "--background"]
    command += ["--config", os.path.abspath(config)] if config else []  # noqa: PTH100 - symlinks are kept
    folder = servers_folder(settings, cluster)
    pid = spawn_detached(command, folder, SERVER_LOG)
    deadline = monotonic() + START_WITHIN
    while monotonic() < deadline:
        if found := [each for each in running_servers(settings, cluster) if each.pid == pid]:
            return found[0]
        if os.waitpid(pid, os.WNOHANG)[0]:
            break
        sleep(0.05)
    raise OrchestraError("the server has not started.", hint=f"Its log: {folder / SERVER_LOG}")


def end_servers(settings: Settings, cluster: str) -> int:
    """End the servers of a cluster that `start_server` has started, and return how many there were."""
    return _end(lambda: running_servers(settings, cluster))


def end_servers_of_stopped_database(settings: Settings) -> int:
    """End the servers that `start_server` has started for an embedded database that cannot be asked for its cluster."""
    from orchestra.api import records
    from orchestra.wiring.folders import data_folder, pilots_folder

    data = str(data_folder(settings))

    def running() -> list[Record]:
        folders = sorted(pilots_folder(settings).glob("*/"))
        found = [record for folder in folders for record in records.running(folder)]
        return [record for record in found if record.data == data]

    return _end(running)


def _end(running: Callable[[], list[Record]]) -> int:
    mine = [each for each in running() if each.background]
    for each in mine:
        each.end()
    deadline = monotonic() + END_WITHIN
    while monotonic() < deadline:
        if not {each.pid for each in running()}.intersection(each.pid for each in mine):
            break
        sleep(0.05)
    return len(mine)
