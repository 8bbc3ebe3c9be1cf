"""What is left of attempts that ran in containers: containers that outlive their client, and how a runtime fails."""

from __future__ import annotations

import logging
import subprocess
import time

from orchestra.domain.models.work import AttemptKey
from orchestra.pilot.desk import Kit

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds in which an engine has to answer."""
TRIES = 5
_OF_RUNTIME = {
    "apptainer": ({255}, ("FATAL:",)),
    "singularity": ({255}, ("FATAL:",)),
    "podman": ({125, 126, 127}, ("Error:",)),
    "docker": ({125, 126, 127}, ("docker: Error", "docker:", "Error:", "See 'docker")),
}


def sweep(kit: Kit, name: str | None, key: AttemptKey) -> None:
    """End the containers of an attempt, whoever started them. An I/O thread's; returns when none is left."""
    runtime = kit.runtime(name)
    look = runtime.sweep(str(key.token)) if runtime else None
    if not runtime or not look:
        return
    for _ in range(TRIES):
        found = _said(kit, look)
        if found == "":
            return
        if found:
            log.warning("ending what is left of job %s: container %s", key, found)
            _said(kit, runtime.remove(tuple(found.split())))
        time.sleep(0.2)
    log.error("job %s may have left a container of %s behind", key, name)


def _said(kit: Kit, command: tuple[str, ...]) -> str | None:
    """Run a program; gives what it printed, None where it failed."""
    try:
        done = subprocess.run(
            command,
            env=dict(kit.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
            cwd="/",
        )
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("%s: %s", command[0], error)
        return None
    if done.returncode:
        log.warning("%s: %s", " ".join(command[:3]), done.stderr.strip()[-300:])
        return None
    return done.stdout.strip()


def refusal(name: str | None, exit_status: int | None, log_tail: bytes | None) -> str | None:
    """Give why a runtime did not begin a container, in its own words; None where the command ran.

    Its status alone does not tell: a command may end with the same. The last line of the log does.
    """
    statuses, beginnings = _OF_RUNTIME.get(name or "", (frozenset(), ()))
    if exit_status not in statuses or not log_tail:
        return None
    lines = log_tail.decode(errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "")
    if not last.startswith(beginnings):
        return None
    words = last.partition(":")[2].strip()
    return f"{name} could not begin its container: {words[:500]}"
