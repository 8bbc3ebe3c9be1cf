"""Which of the waiting attempts get slots now, and which devices. Pure."""

from __future__ import annotations

from orchestra.domain.models.work import TaskSpec
from orchestra.domain.states import Queue
from orchestra.pilot.state import LocalAttempt, PilotState


def slots_of(task: TaskSpec) -> int:
    """Return the slots that each job of a task takes."""
    return max(1, task.resources.cores if task.queue is Queue.CPU else task.resources.gpus)


def devices(state: PilotState) -> tuple[str, ...]:
    """Return the devices that GPU jobs may use now, one for each slot."""
    enabled = state.enabled[Queue.GPU]
    if state.visible is None:
        return tuple(str(index) for index in range(enabled))
    return state.visible[:enabled]


def offered(state: PilotState, queue: Queue) -> int:
    """Count the slots that jobs may use now: no more GPU slots than devices."""
    return len(devices(state)) if queue is Queue.GPU else state.enabled[queue]


def free(state: PilotState, queue: Queue) -> int:
    """Count the free slots; 0 while more are in use than are offered."""
    return max(0, offered(state, queue) - state.in_use(queue))


def startable(state: PilotState) -> list[tuple[LocalAttempt, str | None]]:
    """Return the waiting attempts that fit now, each with its devices, separated by commas; None on the cpu queue.

    Each queue is served in order: an attempt that needs more slots than are free blocks those behind it, or it might
    wait forever.
    """
    chosen: list[tuple[LocalAttempt, str | None]] = []
    for queue in Queue:
        waiting = state.waiting(queue)
        room = free(state, queue) if waiting else 0
        idle = _idle_devices(state) if room and queue is Queue.GPU else []
        for attempt in waiting:
            needed = attempt.note.slots
            given = idle[:needed] if queue is Queue.GPU else []
            if needed > room or (queue is Queue.GPU and len(given) < needed):
                break
            room -= needed
            del idle[: len(given)]
            chosen.append((attempt, ",".join(given) if queue is Queue.GPU else None))
    return chosen


def unfit(state: PilotState) -> list[LocalAttempt]:
    """Return the waiting attempts that could not start even if the node were idle."""
    most = {queue: offered(state, queue) for queue in Queue}
    return [a for a in state.waiting() if a.note.slots > most[a.note.queue]]


def _idle_devices(state: PilotState) -> list[str]:
    taken = {device for attempt in state.with_slots() for device in attempt.devices}
    return [device for device in devices(state) if device not in taken]
