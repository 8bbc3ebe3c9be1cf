"""Checks the inputs of attempts that have ended: whether what they read was still what was registered.

Each revision of a task has one check at a time, which serves all attempts that ended before it began. An outcome waits
for the check, but not for a file system that does not answer; then the note says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import monotonic

from orchestra.domain.errors import VolumeError
from orchestra.domain.models.work import AttemptKey, Grant, InputFile, Revision, TaskSpec
from orchestra.pilot.context import Context
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.pilot.state import LocalAttempt
from orchestra.pilot.volumes import silence_of
from orchestra.services import work

log = logging.getLogger(__name__)

PAUSE_FACTOR = 10
MAX_PAUSE = 2.0
"""A check is repeated after this many times its duration, and after this many seconds at most."""
MAX_WAIT = 60.0
"""Seconds for which an outcome waits for a check that makes progress; longer while a checksum is computed."""

Then = Callable[[AttemptKey, str | None], None]


def check(
    launch: LaunchConfig, task: TaskSpec, configs: Sequence[InputFile]
) -> tuple[Sequence[str | None], float]:
    """Return a note on each ended job, given their configs, and the seconds that the check took.

    Runs in an I/O thread; raises nothing.
    """
    began = monotonic()
    notes: Sequence[str | None]
    try:
        with launch.io_activity.of(task.id):
            notes = launch.inputs.notes(task, configs)
    except VolumeError as error:
        notes = [_unchecked(str(error))] * len(configs)
    except Exception as error:
        log.exception("the inputs of task %s could not be checked", task.id)
        notes = [_unchecked(repr(error))] * len(configs)
    return notes, monotonic() - began


def _unchecked(why: str) -> str:
    return f"its inputs could not be checked after it had ended: {why}"


@dataclass(slots=True)
class _Checks:
    """The checks of one revision: the attempts that wait for the next one, and those that the present one serves."""

    waiting: dict[AttemptKey, tuple[float, LocalAttempt]] = field(default_factory=dict)
    served: dict[AttemptKey, tuple[float, LocalAttempt]] = field(default_factory=dict)
    not_before: float = 0.0
    is_busy: bool = False

    @property
    def is_idle(self) -> bool:
        return not (self.is_busy or self.waiting or self.served)

    def next_due(self, otherwise: float) -> float:
        """When the next check may begin, or `otherwise` if that is sooner or none is needed."""
        needed = self.waiting and not self.is_busy
        return min(self.not_before, otherwise) if needed else otherwise


class InputRecheck:
    """Checks the inputs of ended attempts."""

    def __init__(self, context: Context, then: Then) -> None:
        """`then` is called with a note on each attempt that was added, None if its inputs have not changed."""
        self.context, self._then = context, then
        self._checks: dict[Revision, _Checks] = {}
        self._due = inf

    def add(self, batch: Sequence[LocalAttempt]) -> None:
        """Queue attempts that have just ended."""
        unknown = [attempt for attempt in batch if not (attempt.task and attempt.grant)]
        now, added = monotonic(), set()
        for attempt in batch:
            if attempt.task and attempt.grant:
                checks = self._checks.setdefault(attempt.task.key, _Checks())
                checks.waiting[attempt.key] = now, attempt
                added.add(attempt.task.key)
        for revision in added:
            self._begin(revision, now)
            due = self._checks[revision].next_due(now + self.context.launch.silent_after)
            self._due = min(self._due, due)
        if unknown:
            self._request_inputs(unknown)

    def tick(self, now: float) -> float:
        """Begin checks that are due and give up those that take too long; return the next wake-up."""
        if now >= self._due:
            self._due = inf
            for revision, checks in list(self._checks.items()):
                self._begin(revision, now)
                self._due = min(self._due, checks.next_due(self._give_up(revision, now)))
                if checks.is_idle and now >= checks.not_before:
                    del self._checks[revision]
        return self._due

    def _begin(self, revision: Revision, now: float) -> None:
        checks = self._checks[revision]
        if checks.is_busy or not checks.waiting or now < checks.not_before:
            return
        checks.served, checks.waiting, checks.is_busy = checks.waiting, {}, True
        attempts = [attempt for _, attempt in checks.served.values()]
        spec = attempts[0].task
        assert spec
        configs = [attempt.grant.config for attempt in attempts if attempt.grant]
        keys = [attempt.key for attempt in attempts]
        self.context.workers.submit(
            partial(check, self.context.launch, spec, configs),
            partial(self._checked, revision, keys),
            lambda _: None,
            lane=f"inputs of {revision}",
        )

    def _checked(
        self,
        revision: Revision,
        keys: Sequence[AttemptKey],
        found: tuple[Sequence[str | None], float],
    ) -> None:
        notes, seconds = found
        checks = self._checks[revision]
        checks.is_busy = False
        checks.not_before = monotonic() + min(PAUSE_FACTOR * seconds, MAX_PAUSE)
        self._due = min(self._due, checks.next_due(inf))
        served, checks.served = checks.served, {}
        for key, note in zip(keys, notes, strict=True):
            if key in served:
                self._then(key, note)

    def _give_up(self, revision: Revision, now: float) -> float:
        """Report attempts that have waited long enough; return when to check for others."""
        launch, due, checks = self.context.launch, inf, self._checks[revision]
        task, activity = revision.task_id, launch.io_activity
        progress, read = activity.last_progress(task), activity.last_read(task)
        for attempts in (checks.served, checks.waiting):
            for key, (since, attempt) in list(attempts.items()):
                over = min(max(since, progress) + launch.silent_after, max(since, read) + MAX_WAIT)
                if now < over:
                    due = min(due, over)
                    continue
                del attempts[key]
                stuck = activity.stuck(task)
                why = silence_of(stuck, attempt) if stuck else "it takes too long"
                self._then(key, _unchecked(why))
        return due

    # Attempts that an earlier agent started

    def _request_inputs(self, unknown: Sequence[LocalAttempt]) -> None:
        """Ask the database what they read. Their outcomes wait for the database anyway."""
        keys = [attempt.key for attempt in unknown]
        known = frozenset(self.context.tasks)
        self.context.database.submit(
            lambda conn: work.inputs(conn, keys, known, versions=self.context.versions),
            partial(self._received, unknown),
            partial(self._not_received, unknown),
        )

    def _received(
        self,
        unknown: Sequence[LocalAttempt],
        answer: tuple[Mapping[Revision, TaskSpec], Mapping[AttemptKey, tuple[Revision, InputFile]]],
    ) -> None:
        tasks, configs = answer
        self.context.tasks.update(tasks)
        for attempt in unknown:
            revision, config = configs.get(attempt.key, (None, None))
            task = self.context.tasks.get(revision) if revision else None
            if task and config:
                note = attempt.note
                attempt.task = task
                attempt.grant = Grant(
                    attempt.key,
                    False,
                    note.folder_number,
                    note.done_attempt,
                    config,
                    revision=task.revision,
                )
                self.add([attempt])
            else:  # its task was deleted
                self._then(attempt.key, None)

    def _not_received(self, unknown: Sequence[LocalAttempt], error: Exception) -> None:
        for attempt in unknown:
            self._then(attempt.key, _unchecked(str(error)))
