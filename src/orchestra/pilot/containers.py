"""What is left of attempts that ran in containers: containers that outlive their client, and how a runtime fails."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from orchestra.domain import troubles
from orchestra.domain.human import one_line
from orchestra.domain.models.work import AttemptKey
from orchestra.pilot.context import Context, LaunchConfig
from orchestra.runtimes.discovery import run_program

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds in which an engine has to answer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds between one look for containers and the next."""
LATER = (1.0, 5.0, 30.0, 120.0)
"""Seconds after a sweep at which to look for containers that have appeared since."""
SAY_AFTER = 3
"""Tries in vain until people are told."""
_OF_RUNTIME = {
    "apptainer": ({255}, ("FATAL:",)),
    "singularity": ({255}, ("FATAL:",)),
    "podman": ({125, 126, 127}, ("Error:",)),
    "docker": ({125, 126, 127}, ("docker: Error", "docker:", "Error:", "See 'docker")),
}


def sweep(launch: LaunchConfig, name: str | None, key: AttemptKey) -> None:
    """End the containers of an attempt, whoever started them. An I/O thread's; returns when none is left.

    An engine that does not answer is asked until it does, since what it runs may be the attempt itself: only then may
    anybody take that for ended. What an engine has only begun to make then never runs; it is for the `ContainerReaper`.
    """
    runtime = launch.runtime(name)
    look = runtime.list_containers(str(key.token)) if runtime else None
    if not runtime or not look:
        return
    pause = FIRST_PAUSE
    for tries in count(1):
        found = _said(launch, look)
        if isinstance(found, str) and not found:
            launch.silent.pop(runtime.name, None)
            launch.suspects.append((runtime.name, key))
            return
        words = found.words if isinstance(found, _Silence) else f"container {found} is still there"
        if isinstance(found, str):
            log.warning("ending what is left of job %s: container %s", key, found)
            _said(launch, runtime.remove_containers(tuple(found.split())))
        if tries >= SAY_AFTER:
            launch.silent[runtime.name] = troubles.runtime_silent(runtime.name, words)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def sweep_again(launch: LaunchConfig, suspects: Sequence[tuple[str, AttemptKey]]) -> None:
    """Remove containers of attempts that have appeared since they were swept. An I/O thread's."""
    for name, key in suspects:
        runtime = launch.runtime(name)
        look = runtime.list_containers(str(key.token)) if runtime else None
        found = _said(launch, look) if look else None
        if runtime and found and isinstance(found, str):
            log.warning("removing what appeared after the end of job %s: container %s", key, found)
            _said(launch, runtime.remove_containers(tuple(found.split())))


class ContainerReaper:
    """Looks again and again for a while after the containers of attempts that were ended.

    An engine with a service goes on making a container whose client was killed in between: it appears afterwards, is
    never started, and stays.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self._due: list[tuple[float, str, AttemptKey]] = []
        self._looking = False

    def tick(self, now: float) -> float:
        """Look when it is time; gives when to be called again."""
        suspects = self.context.launch.suspects
        while suspects:
            name, key = suspects.popleft()
            self._due += [(now + pause, name, key) for pause in LATER]
        if self._looking or not self._due:
            return float("inf")
        self._due.sort()
        due = [(name, key) for moment, name, key in self._due if moment <= now]
        del self._due[: len(due)]
        if due:
            self._looking = True
            self.context.workers.submit(
                partial(sweep_again, self.context.launch, due),
                self._looked,
                self._looked,
                lane=_LANE,
            )
        return self._due[0][0] if self._due else float("inf")

    def _looked(self, _: object) -> None:
        self._looking = False


_LANE = -1
"""No task's."""


@dataclass(frozen=True, slots=True)
class _Silence:
    """A program failed, or did not end."""

    words: str


def _said(launch: LaunchConfig, command: tuple[str, ...]) -> str | _Silence:
    """Run a program; gives what it printed."""
    try:
        done = run_program(command, launch.environment, PATIENCE)
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
