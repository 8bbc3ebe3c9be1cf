"""What is left of attempts that ran in containers: containers that outlive their client, and how a runtime fails."""

from __future__ import annotations

import logging
import subprocess
import time
from dataclasses import dataclass
from itertools import count

from orchestra.domain.human import one_line
from orchestra.domain.models.work import AttemptKey
from orchestra.pilot.desk import Kit
from orchestra.runtimes.found import ask

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds in which an engine has to answer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds between one look for containers and the next."""
SAY_AFTER = 3
"""Tries in vain until people are told."""
_OF_RUNTIME = {
    "apptainer": ({255}, ("FATAL:",)),
    "singularity": ({255}, ("FATAL:",)),
    "podman": ({125, 126, 127}, ("Error:",)),
    "docker": ({125, 126, 127}, ("docker: Error", "docker:", "Error:", "See 'docker")),
}


def sweep(kit: Kit, name: str | None, key: AttemptKey) -> None:
    """End the containers of an attempt, whoever started them. An I/O thread's; returns when none is left.

    An engine that does not answer is asked until it does, since what it runs may be the attempt itself: only then may
    anybody take that for ended.
    """
    runtime = kit.runtime(name)
    look = runtime.sweep(str(key.token)) if runtime else None
    if not runtime or not look:
        return
    pause = FIRST_PAUSE
    for tries in count(1):
        found = _said(kit, look)
        if isinstance(found, str) and not found:
            kit.silent.pop(runtime.name, None)
            return
        words = found.words if isinstance(found, _Silence) else f"container {found} is still there"
        if isinstance(found, str):
            log.warning("ending what is left of job %s: container %s", key, found)
            _said(kit, runtime.remove(tuple(found.split())))
        if tries >= SAY_AFTER:
            kit.silent[runtime.name] = (
                f"{runtime.name} does not answer as it should, so that some jobs cannot be told to have ended: {words}"
            )
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


@dataclass(frozen=True, slots=True)
class _Silence:
    """A program failed, or did not end."""

    words: str


def _said(kit: Kit, command: tuple[str, ...]) -> str | _Silence:
    """Run a program; gives what it printed."""
    try:
        done = ask(command, kit.environment, PATIENCE)
    except subprocess.TimeoutExpired:
        return _silence(command, f"no answer within {PATIENCE:g} s")
    except OSError as error:
        return _silence(command, error.strerror or str(error))
    if done.returncode:
        return _silence(command, done.stderr.strip()[-300:] or f"exit status {done.returncode}")
    return done.stdout.strip()


def _silence(command: tuple[str, ...], words: str) -> _Silence:
    log.warning("%s: %s", " ".join(command[:3]), words)
    return _Silence(one_line(words, 300))


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
