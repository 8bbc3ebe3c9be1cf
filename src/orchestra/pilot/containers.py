"""Containers of attempts that have ended: removing leftovers, and recognizing failures of the runtime."""

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
from orchestra.pilot.context import Context
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.runtimes.discovery import run_program

log = logging.getLogger(__name__)

ANSWER_SECONDS = 60.0
"""Seconds in which an engine must answer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds between two searches for containers."""
LATER = (1.0, 5.0, 30.0, 120.0)
"""Seconds after a sweep at which to search for containers that have appeared since."""
REPORT_AFTER = 3
"""Failed attempts after which a silent engine is reported."""
_FAILURES = {
    "apptainer": ({255}, ("FATAL:",)),
    "singularity": ({255}, ("FATAL:",)),
    "podman": ({125, 126, 127}, ("Error:",)),
    "docker": ({125, 126, 127}, ("docker: Error", "docker:", "Error:", "See 'docker")),
}


def sweep(launch: LaunchConfig, name: str | None, key: AttemptKey) -> None:
    """End the containers of an attempt, whoever started them; return when there are none. Runs in an I/O thread.

    An engine that does not answer is asked until it does: it may still run the attempt, which counts as ended only
    afterwards. A container that an engine is still creating at that time never runs; the `ContainerReaper` removes it.
    """
    runtime = launch.runtime(name)
    search = runtime.list_containers(str(key.token)) if runtime else None
    if not runtime or not search:
        return
    pause = FIRST_PAUSE
    for tries in count(1):
        found = _run(launch, search)
        if isinstance(found, str) and not found:
            launch.silent.pop(runtime.name, None)
            launch.suspects.append((runtime.name, key))
            return
        words = found.words if isinstance(found, _Failure) else f"container {found} is still there"
        if isinstance(found, str):
            log.warning("ending what is left of job %s: container %s", key, found)
            _run(launch, runtime.remove_containers(tuple(found.split())))
        if tries >= REPORT_AFTER:
            launch.silent[runtime.name] = troubles.runtime_silent(runtime.name, words)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def sweep_again(launch: LaunchConfig, suspects: Sequence[tuple[str, AttemptKey]]) -> None:
    """Remove containers that have appeared since their attempts were swept. Runs in an I/O thread."""
    for name, key in suspects:
        runtime = launch.runtime(name)
        search = runtime.list_containers(str(key.token)) if runtime else None
        found = _run(launch, search) if search else None
        if runtime and found and isinstance(found, str):
            log.warning("removing what appeared after the end of job %s: container %s", key, found)
            _run(launch, runtime.remove_containers(tuple(found.split())))


class ContainerReaper:
    """Searches several times, for a while, for containers of attempts that were ended.

    An engine with a daemon finishes creating a container whose client was killed meanwhile. The container appears
    later, is never started, and would remain.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self._due: list[tuple[float, str, AttemptKey]] = []
        self._searching = False

    def tick(self, now: float) -> float:
        """Search when it is due; return the next wake-up."""
        suspects = self.context.launch.suspects
        while suspects:
            name, key = suspects.popleft()
            self._due += [(now + pause, name, key) for pause in LATER]
        if self._searching or not self._due:
            return float("inf")
        self._due.sort()
        due = [(name, key) for moment, name, key in self._due if moment <= now]
        del self._due[: len(due)]
        if due:
            self._searching = True
            self.context.workers.submit(
                partial(sweep_again, self.context.launch, due),
                self._searched,
                self._searched,
                lane=_LANE,
            )
        return self._due[0][0] if self._due else float("inf")

    def _searched(self, _: object) -> None:
        self._searching = False


_LANE = -1
"""The lanes of tasks begin at 0."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """A program that failed or did not end."""

    words: str


def _run(launch: LaunchConfig, command: tuple[str, ...]) -> str | _Failure:
    """Run a program; return its output."""
    try:
        done = run_program(command, launch.environment, ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        return _failure(command, f"no answer within {ANSWER_SECONDS:g} s")
    except OSError as error:
        return _failure(command, error.strerror or str(error))
    if done.returncode:
        return _failure(command, done.stderr.strip()[-300:] or f"exit status {done.returncode}")
    return done.stdout.strip()


def _failure(command: tuple[str, ...], words: str) -> _Failure:
    log.warning("%s: %s", " ".join(command[:3]), words)
    return _Failure(one_line(words, 300))


def refusal(name: str | None, exit_status: int | None, log_tail: bytes | None) -> str | None:
    """Return why a runtime did not start a container, in its own words; None if the command ran.

    The exit status is not sufficient, because a command may have the same. The last line of the log decides.
    """
    statuses, beginnings = _FAILURES.get(name or "", (frozenset(), ()))
    if exit_status not in statuses or not log_tail:
        return None
    lines = log_tail.decode(errors="replace").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "")
    if not last.startswith(beginnings):
        return None
    words = last.partition(":")[2].strip()
    return f"{name} could not start its container: {words[:500]}"
