"""What a node has for jobs, what is free of it, and which of the waiting attempts start now, on which devices. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from orchestra.domain.models.nodes import Device
from orchestra.domain.resources import WHOLE, DeviceRoom, Request, Room, total
from orchestra.domain.states import Queue
from orchestra.pilot.state import LocalAttempt, PilotState


def devices(state: PilotState) -> tuple[Device, ...]:
    """Return the devices that GPU jobs may use now, one for each slot: none on which others' processes run."""
    enabled, found = state.enabled[Queue.GPU], state.found.devices
    if found is None:
        return tuple(Device(str(index)) for index in range(enabled))
    found = tuple(device for device in found if not device.is_busy)
    return found[:enabled]


def offered(state: PilotState) -> Room:
    """Return the room that jobs may use now, as if nothing ran: no more GPU slots than devices."""
    enabled, found = state.memory_bytes, state.found.memory_bytes
    memory = min(enabled, found) if enabled and found else enabled or found
    usable = devices(state)
    rooms = tuple([DeviceRoom(WHOLE, device.memory_bytes) for device in usable]) if usable else ()
    return Room(state.enabled[Queue.CPU], rooms, memory, state.found.scratch_bytes)


def free(state: PilotState) -> Room:
    """Return what is free of it. Amounts are below zero while more is taken than is offered."""
    return left_by(state, state.with_slots())


def left_by(state: PilotState, busy: Sequence[LocalAttempt]) -> Room:
    """Return what some of the attempts that have a process leave of the room that is offered."""
    room = offered(state)
    if not busy:
        return room
    taken = total(attempt.note.request for attempt in busy)
    return _minus(room, taken, _devices_left(state, room.devices, busy) if room.devices else ())


def beside(room: Room, attempts: Sequence[LocalAttempt]) -> Room:
    """Return what attempts that wait, and start first, leave of a room; nothing of what is too little for them."""
    if not attempts:
        return room.at_least_nothing()
    devices = room.devices
    for attempt in attempts:
        request = attempt.note.request
        if devices and (request.gpus or request.gpu_milli):
            devices = _without_devices(devices, request)
    taken = total(attempt.note.request for attempt in attempts)
    return _minus(room, taken, devices).at_least_nothing()


def _minus(room: Room, taken: Request, devices: tuple[DeviceRoom, ...]) -> Room:
    """Return what is left of a room; of its GPUs these are, unless one job has the node for itself."""
    cpus, memory, scratch = room.cpus - taken.cpus, room.memory_bytes, room.scratch_bytes
    if taken.exclusive:
        cpus, devices = min(cpus, 0), tuple(DeviceRoom(0, 0) for _ in devices)
    return Room(
        cpus=cpus,
        devices=devices,
        memory_bytes=None if memory is None else memory - taken.memory_bytes,
        scratch_bytes=None if scratch is None else scratch - taken.scratch_bytes,
        is_idle=False,
        seconds_left=room.seconds_left,
    )


def _without_devices(devices: tuple[DeviceRoom, ...], request: Request) -> tuple[DeviceRoom, ...]:
    """Return what is left beside a job that gets devices; if it does not fit, it waits for those with the most left."""
    wanted = Request(gpus=request.gpus, gpu_milli=request.gpu_milli, vram_bytes=request.vram_bytes)
    places = Room(devices=devices).place(wanted)
    if places is None:
        most = sorted(range(len(devices)), key=lambda at: -devices[at].milli)
        places = tuple(most[: request.gpus or 1])
    return tuple(
        device.without(request) if at in places else device for at, device in enumerate(devices)
    )


def has_any(room: Room, queue: Queue) -> bool:
    """Whether a job of a queue could fit: each takes a CPU slot, or a part of a GPU."""
    if queue is Queue.CPU:
        return room.cpus > 0
    return any(device.milli > 0 for device in room.devices)


def is_overfull(state: PilotState) -> bool:
    """Whether more is taken than is offered, because that has become less."""
    taken = total(attempt.note.request for attempt in state.with_slots())
    if taken.cpus > state.enabled[Queue.CPU]:
        return True
    if not taken.memory_bytes and not taken.scratch_bytes:
        return False
    room = offered(state)
    limits = (room.memory_bytes, taken.memory_bytes), (room.scratch_bytes, taken.scratch_bytes)
    return any(most is not None and amount > most for most, amount in limits)


def startable(state: PilotState) -> list[tuple[LocalAttempt, str | None]]:
    """Return the waiting attempts that fit now, each with its devices, separated by commas; None on the cpu queue.

    Each queue is served in order: an attempt that does not fit blocks those behind it, or it might wait forever. So it
    does on the other queue those that came later and take something of which it has too little.
    """
    waiting = state.waiting()
    if not waiting:
        return []
    room, usable = free(state), devices(state)
    chosen: list[tuple[LocalAttempt, str | None]] = []
    blocked: Queue | None = None
    short: set[str] = set()
    for attempt in waiting:
        request, queue = attempt.note.request, attempt.note.queue
        if queue is blocked:
            continue
        overtakes = any(getattr(request, name) for name in short)
        places = None if overtakes else room.place(request)
        if places is not None:
            room = room.without(request, places)
            names = ",".join(usable[place].uuid for place in places)
            chosen.append((attempt, names if queue is Queue.GPU else None))
            continue
        if blocked:
            break  # both queues are
        blocked = queue
        short.update(room.needs(request))
        if "exclusive" in short:
            break
    return chosen


def unfit(state: PilotState) -> list[LocalAttempt]:
    """Return the waiting attempts that could not start even if the node were idle."""
    waiting = state.waiting()
    room = offered(state) if waiting else Room()
    found: list[LocalAttempt] = []
    request, fits = None, True
    for attempt in waiting:
        if attempt.note.request is not request:  # attempts of a task share it
            request = attempt.note.request
            fits = room.fits(request)
        if not fits:
            found.append(attempt)
    return found


def _devices_left(
    state: PilotState, rooms: Sequence[DeviceRoom], attempts: Sequence[LocalAttempt]
) -> tuple[DeviceRoom, ...]:
    """Return what is left of devices beside attempts.

    A job may be on a device that is not offered: fewer slots are enabled than when it started, or the device is busy or
    gone. It still takes a slot, so that no more run than are enabled.
    """
    left = list(rooms)
    usable = devices(state)
    places = {device.uuid: at for at, device in enumerate(usable)}
    outside = 0
    for attempt in attempts:
        request = attempt.note.request
        if attempt.note.queue is Queue.CPU:
            continue
        for name in attempt.devices or ("",) * max(request.gpus, 1):
            place = places.get(state.device_named(name))
            if place is None:
                outside += request.gpu_milli or WHOLE
            else:
                left[place] = left[place].without(request)
    outside -= WHOLE * (state.enabled[Queue.GPU] - len(usable))
    while outside > 0 and any(device.milli > 0 for device in left):
        place = max(range(len(left)), key=lambda at: (left[at].milli, at))
        taken = min(outside, left[place].milli)
        left[place] = replace(left[place], milli=left[place].milli - taken)
        outside -= taken
    return tuple(left)
