"""The GPUs that a pilot may use: which there are, and which of them others use now."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

from orchestra.domain import gpus, troubles
from orchestra.domain.gpus import Gpu
from orchestra.domain.models.nodes import Device
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble
from orchestra.gpus import reader
from orchestra.gpus.reader import GpusUnknown, Reader
from orchestra.pilot.context import Context, boottime
from orchestra.pilot.gpu_processes import Ours, foreign, foreign_by_memory, sees_all_processes

log = logging.getLogger(__name__)

LOOK_EVERY, LOOK_SELDOM = 10.0, 300.0
"""Seconds between two looks at GPUs; and where no job may use any, or there is no driver."""


def at_start() -> tuple[Device, ...] | None:
    """Return the devices that jobs may use before the first look: none, where there will be one."""
    return () if reader.is_installed() else named()


def named() -> tuple[Device, ...] | None:
    """Return the devices that CUDA_VISIBLE_DEVICES names; None if it names none, so that their number is not known."""
    names = gpus.visible_devices(os.environ.get("CUDA_VISIBLE_DEVICES"))
    return None if names is None else tuple(map(Device, names))


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look has shown.

    Args:
        boards: None if this machine has no driver of NVIDIA.
        visible: what the pilot may use, boards and MIG devices.
        used_by: the UUIDs of devices on which processes compute that are not the node's, with who that is.
        guessed: that is known by the memory in use only, so it is not known of a device with a job.
        trouble: why nothing could be seen.
    """

    boards: tuple[Gpu, ...] | None = ()
    visible: tuple[Gpu, ...] = ()
    used_by: Mapping[str, str] = field(default_factory=dict)
    guessed: bool = False
    trouble: str | None = None

    @property
    def devices(self) -> tuple[Device, ...] | None:
        """The devices that jobs may use."""
        return named() if self.boards is None else gpus.usable(self.visible)


def look(driver: Reader, ours: Ours, *, avoid_busy: bool = True) -> Seen:
    """Look at the GPUs, and at who uses them. Runs in an I/O thread."""
    try:
        boards = driver.look()
    except GpusUnknown as error:
        return Seen(trouble=str(error))
    if boards is None:
        return Seen(None)
    visible = gpus.visible(boards, os.environ.get("CUDA_VISIBLE_DEVICES"))
    seen = Seen(boards, tuple(visible))
    if not avoid_busy:
        return seen
    certain = sees_all_processes()
    named = {gpu.uuid: foreign(gpu, ours) if certain else foreign_by_memory(gpu) for gpu in visible}
    used_by = {uuid: who for uuid, who in named.items() if who}
    return replace(seen, used_by=used_by, guessed=not certain)


class GpuWatch:
    """Looks at the GPUs regularly. It alone sets `found.devices` and `device_names` of the state."""

    def __init__(
        self, context: Context, resume_claims: Callable[[], None], *, avoid_busy: bool = True
    ) -> None:
        """`resume_claims` is called when there are more devices than before."""
        self.context, self._resume_claims = context, resume_claims
        self._avoid_busy = avoid_busy
        self._reader = Reader()
        self._looked_at = -inf
        self._is_looking = False
        self._has_driver = True
        self._in_use: frozenset[str] = frozenset()
        self._said: dict[str, Trouble] = {}
        context.gpu_meter.is_active = reader.is_installed()
        if not context.gpu_meter.is_active:
            context.unseen.discard("gpus")

    def tick(self, now: float) -> float:
        """Look when it is due; return the next wake-up. Not before all jobs of earlier agents are known."""
        meter = self.context.gpu_meter
        if self._is_looking or not meter.is_active or not self.context.adopted:
            return inf
        due = (
            now
            if meter.is_waiting
            else self._looked_at + (LOOK_EVERY if self._is_needed() else LOOK_SELDOM)
        )
        if now < due:
            return due
        self._looked_at, self._is_looking = now, True
        self._in_use = self._devices_in_use()
        self.context.workers.submit(
            partial(look, self._reader, self._ours(), avoid_busy=self._avoid_busy),
            partial(self._seen, boottime()),
            self._failed,
            lane="gpus",
        )
        return inf

    def close(self) -> None:
        """End the process that looks, unless a look is under way, which ends with this process."""
        if not self._is_looking:
            self._reader.close()

    def _is_needed(self) -> bool:
        if self._devices_in_use():
            return True
        return self.context.state.enabled[Queue.GPU] > 0 and self._has_driver

    def _ours(self) -> Ours:
        context = self.context
        handles = context.keepers.handles.values()
        keepers = (handle.hello.pid for handle in handles if not handle.dead)
        tokens = (str(key.token) for key in context.state.attempts)
        return Ours(frozenset(keepers), frozenset(tokens))

    def _devices_in_use(self) -> frozenset[str]:
        state = self.context.state
        return frozenset(
            state.device_named(name) for each in state.with_slots() for name in each.devices
        )

    def _seen(self, looked_at: float, seen: Seen) -> None:
        self._is_looking = False
        self._has_driver = seen.boards is not None
        self.context.unseen.discard("gpus")
        state = self.context.state
        boards = seen.boards or ()
        state.device_names = {str(at): board.uuid for at, board in enumerate(boards) if board.uuid}
        if seen.trouble:
            self.context.gpu_meter.give_up()
        else:
            samples = {gpu.uuid: gpu.samples for gpu in seen.visible}
            self.context.gpu_meter.note(looked_at, samples)
        used_by = self._used_by(seen)
        self._say(seen, used_by)
        devices = seen.devices
        if devices is not None:
            devices = tuple(replace(each, is_busy=each.uuid in used_by) for each in devices)
        if devices != state.found.devices:
            state.found = replace(state.found, devices=devices)
            log.info("GPUs: %s", _in_words(devices, used_by))
            self._resume_claims()

    def _used_by(self, seen: Seen) -> dict[str, str]:
        """Return who else uses which device. A guess does not count for one that a job had at any time of the look."""
        if not seen.guessed:
            return dict(seen.used_by)
        ours = self._in_use | self._devices_in_use()
        return {uuid: who for uuid, who in seen.used_by.items() if uuid not in ours}

    def _say(self, seen: Seen, used_by: Mapping[str, str]) -> None:
        """Show in `node list` which GPUs cannot be used, and why, if jobs may use any."""
        said = self._troubles(seen, used_by) if self.context.state.enabled[Queue.GPU] else {}
        for gone in self._said.keys() - said.keys():
            self.context.troubles.pop(gone, None)
        self.context.troubles.update(said)
        self._said = said

    def _troubles(self, seen: Seen, used_by: Mapping[str, str]) -> dict[str, Trouble]:
        said = {"gpus": troubles.gpus(seen.trouble)} if seen.trouble else {}
        for words in gpus.failures(seen.boards or ()):
            said[f"gpus {words}"] = troubles.gpus(words)
        names = gpus.names(seen.boards or ())
        for uuid, who in used_by.items():
            said[f"gpus {uuid}"] = troubles.gpu_used(names[uuid], who)
        return said

    def _failed(self, error: Exception) -> None:
        log.error("the GPUs could not be looked at", exc_info=error)
        self._seen(boottime(), Seen(trouble=f"its GPUs could not be looked at: {error!r}"))


def _in_words(devices: tuple[Device, ...] | None, used_by: Mapping[str, str]) -> str:
    found = gpus.in_words(devices or ()) or "none"
    return f"{found}; of these, {len(used_by)} used by others" if used_by else found
