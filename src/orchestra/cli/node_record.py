"""A node as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from orchestra.domain.labels import found_labels

if TYPE_CHECKING:
    from orchestra.cli.output import Record
    from orchestra.domain.models.nodes import Node


def node_record(node: Node) -> Record:
    return {
        "name": node.name,
        "owner": node.owner,
        "state": node.state,
        "online": node.online,
        "cpu": {"in_use": node.cpu_in_use, "enabled": node.cpu.enabled, "max": node.cpu.maximum},
        "gpu": {"in_use": node.gpu_in_use, "enabled": node.gpu.enabled, "max": node.gpu.maximum},
        "gpus": _gpu_records(node),
        "drained_at": node.drained_at,
        "drained_by": node.drained_by,
        "drain_reason": node.drain_reason,
        "drain_at": node.drain_at,
        "drain_at_by": node.drain_at_by,
        "drain_at_reason": node.drain_at_reason,
        "memory": {"in_use": node.memory_in_use, "enabled": node.memory_enabled},
        "open_hours": node.open_hours,
        "opens_at": node.opens_at,
        "closes_at": node.closes_at,
        "nice": node.nice,
        "seen_at": node.seen_at,
        "host": node.host,
        "version": node.version,
        "labels": dict(node.labels),
        "found_labels": dict(found_labels(node)),
        "runtimes": [_runtime_record(runtime) for runtime in node.runtimes],
        "message": node.message,
        "pool": node.pool,
        "ends_at": node.ends_at,
        "gone_at": node.gone_at,
        "created_at": node.created_at,
    }


def _gpu_records(node: Node) -> list[Record] | None:
    """The GPUs that its pilot may use; None if their number is not known."""
    devices = node.found.devices
    return None if devices is None else [asdict(device) for device in devices]


def _runtime_record(runtime: str) -> Record:
    name, _, version = runtime.partition(" ")
    return {"name": name, "version": version or None}
