"""What a node has when nothing runs on it. Pure."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from orchestra.domain.models.nodes import Node
from orchestra.domain.resources import WHOLE, DeviceRoom, Room


def offered(node: Node, seconds_left: float = inf) -> Room:
    """What jobs may take of it now if nothing runs on it: its capacity without GPUs that others use."""
    devices = node.found.devices
    if devices and any(device.is_busy for device in devices):
        free = tuple(device for device in devices if not device.is_busy)
        node = replace(node, found=replace(node.found, devices=free))
    return capacity(node, seconds_left)


def capacity(node: Node, seconds_left: float = inf) -> Room:
    """What jobs may take of an idle node, by its operator and by what its pilot finds."""
    found, enabled = node.found, node.gpu.enabled
    devices = (
        (DeviceRoom(),) * enabled
        if found.devices is None
        else tuple(DeviceRoom(WHOLE, device.memory_bytes) for device in found.devices[:enabled])
    )
    memory = [size for size in (node.memory_bytes, found.memory_bytes) if size is not None]
    return Room(
        cpus=node.cpu.enabled,
        devices=devices,
        memory_bytes=min(memory, default=None),
        scratch_bytes=found.scratch_bytes,
        seconds_left=seconds_left,
    )
