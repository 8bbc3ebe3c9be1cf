"""How many jobs to ask for, and which of those that were granted to hand back. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from orchestra.domain.models.work import AttemptKey
from orchestra.domain.states import Queue
from orchestra.pilot import slots
from orchestra.pilot.state import Held, PilotState

AT_MOST = 64
"""Jobs in one claim."""
QUICK_SECONDS = 1.0
"""Tasks whose jobs take less are claimed ahead, about this many seconds of work."""
STOCK_AT_MOST = 2 * AT_MOST
"""Jobs claimed ahead, so that half of them last while the other half is asked for."""
STUCK_AFTER = 5.0
"""Seconds after which a running attempt is not taken for a quick one: nothing is claimed ahead for its slots."""

READY_AT_MOST = 16
READY_SECONDS = 0.1
"""So many seconds of work are made ready before there are slots for it."""


@dataclass(slots=True)
class Appetite:
    """What is known about each queue of the database.

    `dry` queues gave less than was asked for: nothing is asked until somebody says that work has come, or it is
    time to look again. The next job of a `blocked` queue needs so many slots: nothing is asked before they are free.
    `typical` is how long the jobs of a task take, in seconds; `latest` the task that each queue gave last.
    """

    dry: set[Queue] = field(default_factory=set)
    blocked: dict[Queue, int] = field(default_factory=dict)
    typical: dict[int, float] = field(default_factory=dict)
    latest: dict[Queue, int] = field(default_factory=dict)

    def refresh(self, *queues: Queue) -> None:
        """Say that there may be work again."""
        for queue in queues or Queue:
            self.dry.discard(queue)
            self.blocked.pop(queue, None)

    def learn(
        self,
        asked: Mapping[Queue, int],
        granted: Sequence[Held],
        held_back: Mapping[Queue, int] = MappingProxyType({}),
    ) -> None:
        """Take in what a claim for so many slots gave."""
        given, jobs = dict.fromkeys(asked, 0), Counter[Queue]()
        for held in granted:
            queue = held.note.queue
            jobs[queue] += 1
            given[queue] = given.get(queue, 0) + held.note.slots
            self.latest[queue] = held.key.task_id
            if held.task and held.task.typical_seconds is not None:
                self.typical.setdefault(held.key.task_id, held.task.typical_seconds)
        self.blocked.update(held_back)
        self.dry.update(
            queue
            for queue, slots in asked.items()
            if given[queue] < slots and jobs[queue] < AT_MOST and queue not in held_back
        )

    def measure(self, task: int, seconds: float) -> None:
        """Take in how long a job took: recent ones count most."""
        before = self.typical.get(task, seconds)
        self.typical[task] = before + (seconds - before) * 0.2

    def is_quick(self, task: int | None) -> bool:
        """Whether the jobs of a task are claimed ahead."""
        return task is not None and self.typical.get(task, QUICK_SECONDS) < QUICK_SECONDS

    def stock(self, queue: Queue, offered: int) -> int:
        """Give for how many slots to have jobs waiting, so that quick ones follow each other without a pause."""
        task = self.latest.get(queue)
        if task is None or not self.is_quick(task):
            return 0
        return min(
            STOCK_AT_MOST, round(max(offered, 0) * QUICK_SECONDS / max(self.typical[task], 0.001))
        )


def to_prepare(
    state: PilotState, appetite: Appetite, under_way: Container[AttemptKey]
) -> list[Held]:
    """Give waiting attempts of a quick task that are to be made ready before there are slots for them, some at a time.

    Of the cpu queue alone: what a GPU job is given is known only when devices come free.
    """
    waiting = state.waiting(Queue.CPU)
    if not waiting or not appetite.is_quick(task := waiting[0].key.task_id):
        return []
    slots_ahead = (
        slots.offered(state, Queue.CPU) * READY_SECONDS / max(appetite.typical[task], 0.001)
    )
    first = waiting[: min(READY_AT_MOST, max(1, round(slots_ahead)))]
    missing = [held for held in first if held.ready is None and held.key not in under_way]
    return missing if len(missing) * 2 >= len(first) else []


def wanted(state: PilotState, appetite: Appetite, now: float = 0.0) -> dict[Queue, int]:
    """Give for how many slots of each queue to ask for jobs now; empty if for none. `now` is by CLOCK_BOOTTIME."""
    if state.leaving:
        return {}
    counts = {queue: _wanted(state, appetite, queue, now) for queue in Queue}
    return {queue: count for queue, count in counts.items() if count > 0}


def _wanted(state: PilotState, appetite: Appetite, queue: Queue, now: float) -> int:
    offered = slots.offered(state, queue)
    if queue in appetite.dry or offered == 0:
        return 0
    waiting = sum(held.note.slots for held in state.waiting(queue))
    to_fill = slots.free(state, queue) - waiting
    if queue in appetite.blocked and to_fill < appetite.blocked[queue]:
        return 0
    stock = appetite.stock(queue, offered - _stuck(state, queue, now))
    # The stock is filled again when half of it is used up, or every end of a job would be a claim.
    ahead = min(AT_MOST, stock - waiting) if waiting * 2 <= stock else 0
    return max(to_fill, ahead)


def hoarded(state: PilotState, now: float) -> list[Held]:
    """Give what was claimed ahead where every slot has turned out to be taken for long: others may have room for it.

    Args:
        now: by CLOCK_BOOTTIME.
    """
    return [
        held
        for queue in Queue
        if (waiting := state.waiting(queue))
        and _stuck(state, queue, now) >= slots.offered(state, queue)
        for held in waiting
    ]


def _stuck(state: PilotState, queue: Queue, now: float) -> int:
    """Count the slots whose attempts run for too long to be quick ones."""
    return sum(
        held.note.slots
        for held in state.with_slots()
        if held.note.queue is queue and held.began is not None and now > held.began + STUCK_AFTER
    )


def surplus(state: PilotState, appetite: Appetite, claimed: Sequence[Held]) -> list[Held]:
    """Give what was claimed ahead from a task whose jobs turn out not to be quick: others may want it."""
    new = {held.key for held in claimed}
    room = {
        queue: slots.free(state, queue)
        - sum(held.note.slots for held in state.waiting(queue) if held.key not in new)
        for queue in Queue
    }
    extra: list[Held] = []
    for held in claimed:
        queue = held.note.queue
        if room[queue] <= 0 and not appetite.is_quick(held.key.task_id):
            extra.append(held)
        room[queue] -= held.note.slots
    return extra
