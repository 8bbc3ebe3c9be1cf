"""A keeper as a process: start one, see whether it has an agent, end one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import orchestra
from orchestra.pilot import keeper
from orchestra.pilot.keeper_link import KeeperLink, connect
from orchestra.pilot.keeper_messages import Hello, KeeperError

KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")


def start_keeper(
    folder: Path,
    keeper_id: UUID,
    *,
    agent: str,
    version: str = orchestra.__version__,
    linger: float = 60.0,
    timeout: float = 10.0,
) -> KeeperLink:
    """Start a keeper that outlives this process, in a folder that no keeper has used, and connect to it.

    Args:
        folder: on a local disk; created with mode 0700 if it is missing.
        agent: the agent's name in the keeper's log.
        linger: seconds after which a keeper without jobs, outcomes and an agent exits.

    Raises:
        KeeperError: it could not be started, or did not answer within `timeout` seconds.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {"folder": folder, "id": keeper_id, "version": version, "linger": linger}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", keeper.__file__, *arguments]
    # The keeper's environment is readable in /proc as long as it lives, so it contains no secrets.
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KeeperError(f"The keeper did not start: {error}") from None
    if done.returncode:
        raise KeeperError(
            f"The keeper did not start: {done.stderr.decode(errors='replace').strip()}"
        )
    return connect(folder, agent=agent, timeout=timeout)


def has_agent(hello: Hello) -> bool:
    """Whether an agent is connected to a living keeper of this machine; True where that cannot be determined.

    The sockets that a keeper has accepted are those of its descriptors that /proc/net/unix lists as connected (03).
    """
    try:
        found = [os.readlink(path) for path in Path(f"/proc/{hello.pid}/fd").iterdir()]  # noqa: PTH115
        lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return Path(f"/proc/{hello.pid}").exists()
    connected = {words[6] for words in map(str.split, lines[1:]) if words[5] == "03"}
    return any(name.removeprefix("socket:[").removesuffix("]") in connected for name in found)


def end_keeper(hello: Hello) -> None:
    """Kill a living keeper of this machine that has no jobs and no outcomes left and cannot be asked to stop.

    A keeper with a child is not killed, whatever its spool says: the spool may have been read in the middle of a write.
    """
    with suppress(OSError):
        is_it = str(hello.keeper).encode() in Path(f"/proc/{hello.pid}/cmdline").read_bytes()
        if is_it and not keeper.process_tree().get(hello.pid):
            os.kill(hello.pid, signal.SIGKILL)
