"""What a node has when nothing runs on it. Pure."""

from __future__ import annotations

from math import inf

from orchestra.domain.models.nodes import Node
from orchestra.domain.resources import WHOLE, DeviceRoom, Room


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
