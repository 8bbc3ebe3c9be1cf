"""How far a task is, and how fast its jobs end: in numbers and in words. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from orchestra.domain import human
from orchestra.domain.estimates import ENOUGH_DONE, estimate_end
from orchestra.domain.models.tasks import Task

WINDOW = 60.0
"""Seconds over which a rate is measured, at least."""
ENOUGH = 10
"""Jobs that have ended in that time, at least; if they are fewer, the time is longer."""


@dataclass(slots=True)
class Pace:
    """How fast the jobs of one task end, from what was seen of it."""

    _seen: deque[tuple[float, int]] = field(default_factory=deque)
    _run: int = -1

    def note(self, task: Task, now: float) -> None:
        """Note how many jobs have ended at a time in seconds; a retry begins anew."""
        ended = task.counts.ended
        if task.run != self._run or (self._seen and ended < self._seen[-1][1]):
            self._seen.clear()
            self._run = task.run
        if not self._seen or ended != self._seen[-1][1]:
            self._seen.append((now, ended))
        while len(self._seen) > 1 and self._is_enough(*self._seen[1], now):
            self._seen.popleft()

    def _is_enough(self, since: float, ended: int, now: float) -> bool:
        return now - since >= WINDOW and self._seen[-1][1] - ended >= ENOUGH

    def per_second(self, task: Task, now: float) -> float | None:
        """Return the rate at which jobs end; what the running ones should do if too few were seen to end.

        None if nothing runs, or nothing is known.
        """
        if not task.state.is_live or not task.counts.living:
            return None
        if self._seen:
            since, before = self._seen[0]
            ended = self._seen[-1][1] - before
            if ended >= ENOUGH_DONE and now > since:
                return ended / (now - since)
        return task.counts.living / task.typical_seconds if task.typical_seconds else None


def counted(task: Task) -> Iterator[str]:
    """Yield the jobs of a task by what matters: `18 of 36 jobs done`, `2 running`, `1 failed`."""
    counts = task.counts
    yield f"{human.number(counts.done)} of {human.count(task.active_jobs, 'job')} done"
    for word, number in (
        ("running", counts.living),
        ("failed", counts.failed),
        ("killed", counts.killed),
    ):
        if number:
            yield f"{human.number(number)} {word}"


def ends(task: Task, now: datetime, per_second: float | None = None) -> str:
    """Return when a task ends: `ends in 4 min`, `ends after the test`; nothing if that is not known.

    The rate is used where there is no better estimate.
    """
    estimate = estimate_end(task, now)
    if estimate.seconds is not None:
        return f"ends {human.relative(estimate.seconds)}"
    if estimate.words == "after the test":
        return f"ends {estimate.words}"
    if estimate.words == "-" and per_second and task.counts.living:
        return f"ends {human.relative((task.active_jobs - task.counts.ended) / per_second)}"
    return ""


def bar(done: int, total: int, width: int, lost: int = 0) -> str:
    """Return `####....`: how much of a total is done; `x` for what has ended and is not done."""
    if not total:
        return "." * width
    filled = min(width, width * done // total)
    crossed = min(width, width * (done + lost) // total) - filled
    if lost and not crossed and filled < width:
        crossed = 1
    return "#" * filled + "x" * crossed + "." * (width - filled - crossed)
