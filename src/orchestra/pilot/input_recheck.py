"""The look at the inputs of attempts that have ended: whether what they read was still what was registered.

One look at a time for each task, which serves all that ended before it began. An outcome waits for it, but not for a
file system that does not answer: then the note says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from orchestra.domain.errors import VolumeError
from orchestra.domain.models.work import AttemptKey, Grant, InputFile, TaskSpec
from orchestra.pilot.context import Context, LaunchConfig
from orchestra.pilot.state import LocalAttempt
from orchestra.pilot.volumes import in_words
from orchestra.services import work

log = logging.getLogger(__name__)

PAUSE_OF_TIME = 10
PAUSE_AT_MOST = 2.0
"""A look that took long is repeated after this many times as long, at most so many seconds later."""
AT_LONGEST = 60.0
"""Seconds for which an outcome waits for a look that finds its way; while a checksum is taken, longer."""

Then = Callable[[AttemptKey, str | None], None]


def look(
    launch: LaunchConfig, task: TaskSpec, configs: Sequence[InputFile]
) -> tuple[Sequence[str | None], float]:
    """Give the notes on jobs that have ended, by their configs, and the seconds that it took.

    An I/O thread's; raises nothing.
    """
    began = monotonic()
    notes: Sequence[str | None]
    try:
        with launch.io_activity.of(task.id):
            notes = launch.inputs.notes(task, configs)
    except VolumeError as error:
        notes = [_unseen(str(error))] * len(configs)
    except Exception as error:
        log.exception("the inputs of task %s could not be looked at", task.id)
        notes = [_unseen(repr(error))] * len(configs)
    return notes, monotonic() - began


def _unseen(why: str) -> str:
    return f"its inputs could not be looked at after it had ended: {why}"


@dataclass(slots=True)
class _Lane:
    """The looks at the inputs of one task: what waits for the next one, what one under way serves, each since when."""

    waiting: dict[AttemptKey, tuple[float, LocalAttempt]] = field(default_factory=dict)
    served: dict[AttemptKey, tuple[float, LocalAttempt]] = field(default_factory=dict)
    not_before: float = 0.0
    is_busy: bool = False

    @property
    def is_idle(self) -> bool:
        return not (self.is_busy or self.waiting or self.served)

    def next_due(self, otherwise: float) -> float:
        """Give when the next look may begin, or `otherwise` if that is sooner or none is wanted."""
        wanted = self.waiting and not self.is_busy
        return min(self.not_before, otherwise) if wanted else otherwise


class InputRecheck:
    """Has the inputs of ended attempts looked at."""

    def __init__(self, context: Context, then: Then) -> None:
        """`then` gets the note on each attempt that was added, None where its inputs are as they were."""
        self.context, self._then = context, then
        self._tasks: dict[int, _Lane] = {}
        self._due = float("inf")

    def add(self, batch: Sequence[LocalAttempt]) -> None:
        """Take in attempts that have ended just now."""
        known = [attempt for attempt in batch if attempt.task and attempt.grant]
        strangers = [attempt for attempt in batch if not (attempt.task and attempt.grant)]
        now = monotonic()
        for attempt in known:
            lane = self._tasks.setdefault(attempt.key.task_id, _Lane())
            lane.waiting[attempt.key] = now, attempt
        for task in {attempt.key.task_id for attempt in known}:
            self._begin(task, now)
            self._due = min(
                self._due, self._tasks[task].next_due(now + self.context.launch.patience)
            )
        if strangers:
            self._ask(strangers)

    def tick(self, now: float) -> float:
        """Begin what is due, give up what takes too long; gives when to be called again."""
        if now >= self._due:
            self._due = float("inf")
            for task, lane in list(self._tasks.items()):
                self._begin(task, now)
                self._due = min(self._due, lane.next_due(self._give_up(task, now)))
                if lane.is_idle and now >= lane.not_before:
                    del self._tasks[task]
        return self._due

    def _begin(self, task: int, now: float) -> None:
        lane = self._tasks[task]
        if lane.is_busy or not lane.waiting or now < lane.not_before:
            return
        lane.served, lane.waiting, lane.is_busy = lane.waiting, {}, True
        members = [attempt for _, attempt in lane.served.values()]
        spec = members[0].task
        assert spec
        configs = [attempt.grant.config for attempt in members if attempt.grant]
        keys = [attempt.key for attempt in members]
        self.context.workers.submit(
            partial(look, self.context.launch, spec, configs),
            partial(self._looked, task, keys),
            lambda _: None,
            lane=f"inputs of {task}",
        )

    def _looked(
        self, task: int, keys: Sequence[AttemptKey], found: tuple[Sequence[str | None], float]
    ) -> None:
        notes, seconds = found
        lane = self._tasks[task]
        lane.is_busy = False
        lane.not_before = monotonic() + min(PAUSE_OF_TIME * seconds, PAUSE_AT_MOST)
        self._due = min(self._due, lane.next_due(float("inf")))
        served, lane.served = lane.served, {}
        for key, note in zip(keys, notes, strict=True):
            if key in served:
                self._then(key, note)

    def _give_up(self, task: int, now: float) -> float:
        """Let go of attempts that have waited long enough; gives when to look again."""
        launch, due, lane = self.context.launch, float("inf"), self._tasks[task]
        moved, read = launch.io_activity.last_moved(task), launch.io_activity.last_read(task)
        for attempts in (lane.served, lane.waiting):
            for key, (since, attempt) in list(attempts.items()):
                over = min(max(since, moved) + launch.patience, max(since, read) + AT_LONGEST)
                if now < over:
                    due = min(due, over)
                    continue
                del attempts[key]
                stuck = launch.io_activity.stuck(task)
                why = in_words(stuck, attempt) if stuck else "it takes too long"
                self._then(key, _unseen(why))
        return due

    # Attempts that an earlier agent started

    def _ask(self, strangers: Sequence[LocalAttempt]) -> None:
        """Ask the database what they read; their outcomes wait for it anyway."""
        keys = [attempt.key for attempt in strangers]
        known = frozenset(self.context.tasks)
        self.context.database.submit(
            lambda conn: work.inputs(conn, keys, known, versions=self.context.versions),
            partial(self._told, strangers),
            partial(self._untold, strangers),
        )

    def _told(
        self,
        strangers: Sequence[LocalAttempt],
        answer: tuple[Mapping[int, TaskSpec], Mapping[AttemptKey, InputFile]],
    ) -> None:
        tasks, configs = answer
        self.context.tasks.update(tasks)
        for attempt in strangers:
            task, config = self.context.tasks.get(attempt.key.task_id), configs.get(attempt.key)
            if task and config:
                note = attempt.note
                attempt.task = task
                attempt.grant = Grant(
                    attempt.key, False, note.folder_number, note.done_attempt, config
                )
                self.add([attempt])
            else:  # its task was deleted
                self._then(attempt.key, None)

    def _untold(self, strangers: Sequence[LocalAttempt], error: Exception) -> None:
        for attempt in strangers:
            self._then(attempt.key, _unseen(str(error)))
