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
from orchestra.pilot.desk import Desk, Kit
from orchestra.pilot.state import Held
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
    kit: Kit, task: TaskSpec, configs: Sequence[InputFile]
) -> tuple[Sequence[str | None], float]:
    """Give the notes on jobs that have ended, by their configs, and the seconds that it took.

    An I/O thread's; raises nothing.
    """
    began = monotonic()
    notes: Sequence[str | None]
    try:
        with kit.touches.of(task.id):
            notes = kit.inputs.notes(task, configs)
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

    waiting: dict[AttemptKey, tuple[float, Held]] = field(default_factory=dict)
    served: dict[AttemptKey, tuple[float, Held]] = field(default_factory=dict)
    not_before: float = 0.0
    is_busy: bool = False

    @property
    def is_idle(self) -> bool:
        return not (self.is_busy or self.waiting or self.served)

    def next_due(self, otherwise: float) -> float:
        """Give when the next look may begin, or `otherwise` if that is sooner or none is wanted."""
        wanted = self.waiting and not self.is_busy
        return min(self.not_before, otherwise) if wanted else otherwise


class AfterLook:
    """Has the inputs of ended attempts looked at."""

    def __init__(self, desk: Desk, then: Then) -> None:
        """`then` gets the note on each attempt that was added, None where its inputs are as they were."""
        self.desk, self._then = desk, then
        self._tasks: dict[int, _Lane] = {}
        self._due = float("inf")

    def add(self, batch: Sequence[Held]) -> None:
        """Take in attempts that have ended just now."""
        known = [held for held in batch if held.task and held.grant]
        strangers = [held for held in batch if not (held.task and held.grant)]
        now = monotonic()
        for held in known:
            lane = self._tasks.setdefault(held.key.task_id, _Lane())
            lane.waiting[held.key] = now, held
        for task in {held.key.task_id for held in known}:
            self._begin(task, now)
            self._due = min(self._due, self._tasks[task].next_due(now + self.desk.kit.patience))
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
        members = [held for _, held in lane.served.values()]
        spec = members[0].task
        assert spec
        configs = [held.grant.config for held in members if held.grant]
        keys = [held.key for held in members]
        self.desk.workers.submit(
            partial(look, self.desk.kit, spec, configs),
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
        kit, due, lane = self.desk.kit, float("inf"), self._tasks[task]
        moved, read = kit.touches.last_moved(task), kit.touches.last_read(task)
        for attempts in (lane.served, lane.waiting):
            for key, (since, held) in list(attempts.items()):
                over = min(max(since, moved) + kit.patience, max(since, read) + AT_LONGEST)
                if now < over:
                    due = min(due, over)
                    continue
                del attempts[key]
                stuck = kit.touches.stuck(task)
                why = in_words(stuck, held) if stuck else "it takes too long"
                self._then(key, _unseen(why))
        return due

    # Attempts that an earlier agent started

    def _ask(self, strangers: Sequence[Held]) -> None:
        """Ask the database what they read; their outcomes wait for it anyway."""
        keys = [held.key for held in strangers]
        known = frozenset(self.desk.tasks)
        self.desk.courier.ask(
            lambda conn: work.inputs(conn, keys, known, versions=self.desk.versions),
            partial(self._told, strangers),
            partial(self._untold, strangers),
        )

    def _told(
        self,
        strangers: Sequence[Held],
        answer: tuple[Mapping[int, TaskSpec], Mapping[AttemptKey, InputFile]],
    ) -> None:
        tasks, configs = answer
        self.desk.tasks.update(tasks)
        for held in strangers:
            task, config = self.desk.tasks.get(held.key.task_id), configs.get(held.key)
            if task and config:
                note = held.note
                held.task = task
                held.grant = Grant(held.key, False, note.folder_number, note.done_attempt, config)
                self.add([held])
            else:  # its task was deleted
                self._then(held.key, None)

    def _untold(self, strangers: Sequence[Held], error: Exception) -> None:
        for held in strangers:
            self._then(held.key, _unseen(str(error)))
