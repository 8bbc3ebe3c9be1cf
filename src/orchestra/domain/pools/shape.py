"""What an allocation of a pool offers to jobs, as far as is known before it starts. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf

from orchestra.domain import images
from orchestra.domain.errors import BadInput
from orchestra.domain.labels import labels_of
from orchestra.domain.models.nodes import Node
from orchestra.domain.models.pools import Pool, PoolSpec
from orchestra.domain.node_room import capacity
from orchestra.domain.placement import Condition, parse
from orchestra.domain.pools.ending import margin
from orchestra.domain.pools.ready import Ready
from orchestra.domain.quantities import typed_size
from orchestra.domain.resources import DeviceRoom, Room

STARTING = 30.0
"""Seconds that a pilot may take until it claims its first job; less in a short one."""
PART = 0.1
"""The part of a short allocation that this takes at most."""
_GRES = re.compile(r"(?:gres[:/])?gpu(?::[A-Za-z][\w.-]*)?(?:[:=](\d{1,3}))?(?:\(.*\))?")


@dataclass(frozen=True, slots=True)
class Shape:
    """What an allocation of a pool offers.

    Args:
        room: on each of its nodes.
        nodes: how many there are.
        labels: those that are known.
        is_shown: a node of the pool has been there, so that it has no other labels.
        account: whose jobs its pilots run; None: nobody has run the pool yet, so that is unknown.
        serves_all: they run everybody's.
        runtimes: container runtimes of its nodes; None if unknown.
    """

    room: Room
    nodes: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    is_shown: bool = False
    account: str | None = None
    serves_all: bool = False
    runtimes: tuple[str, ...] | None = None

    def fit(self, task: Ready) -> int:
        """Return how many jobs of a task run at a time in an allocation; 0 if none can."""
        if not self.takes(task):
            return 0
        if task.seconds is not None and task.seconds > self.room.seconds_left:
            return 0
        return self.nodes * self.room.count(task.request)

    def takes(self, task: Ready) -> bool:
        """Whether its pilots run jobs of a task, if there is room for them."""
        return self._serves(task) and self._runs(task.image) and self._admits(task)

    def _serves(self, task: Ready) -> bool:
        return self.serves_all or self.account in (None, task.account)

    def _runs(self, image: str | None) -> bool:
        if image is None or self.runtimes is None:
            return True
        return any(images.runs(runtime, image) for runtime in self.runtimes)

    def _admits(self, task: Ready) -> bool:
        """Whether its nodes, whose names are not known yet, are among those that a task may use."""
        where = task.placement
        if where is None:
            return True
        if where.nodes:
            return False
        try:
            return all(map(self._may_hold, parse(where.constraint).conditions))
        except BadInput:  # written by a newer version
            return False

    def _may_hold(self, condition: Condition) -> bool:
        return condition.holds(self.labels) or any(self._is_open(t.name) for t in condition.tests)

    def _is_open(self, label: str) -> bool:
        """Whether it is not known yet which value a label has there, or whether it is there."""
        if label.startswith("gpu") and not self.room.devices:
            return False
        return not self.is_shown and label not in self.labels


def shape_of(
    pool: Pool, seen: Node | None = None, runtimes: tuple[str, ...] | None = None
) -> Shape:
    """Return what an allocation of a pool offers.

    Args:
        seen: the pool's latest node, from which is known what the pool's specification leaves open.
        runtimes: of that node.
    """
    room = _room(pool.spec, seen, _seconds(pool))
    labels = _labels(pool, room, seen)
    return Shape(
        room, pool.spec.nodes, labels, seen is not None, pool.account, pool.serves_all, runtimes
    )


def _seconds(pool: Pool) -> float:
    """Return the seconds that a job may take: unlimited where the engine's default time is not known."""
    walltime = pool.limits.walltime
    if walltime is None:
        return inf
    return walltime - margin(walltime) - min(STARTING, PART * walltime)


def _room(spec: PoolSpec, seen: Node | None, seconds: float) -> Room:
    """Return what a node of the pool has: what is asked for, or what the latest one had if that is more."""
    wanted = Room(
        spec.cpus, (DeviceRoom(),) * gpus_of(spec), spec.memory_bytes, seconds_left=seconds
    )
    if seen is None:
        return wanted
    had = capacity(seen)
    return replace(
        wanted,
        cpus=max(wanted.cpus, had.cpus),
        devices=had.devices if len(had.devices) >= len(wanted.devices) else wanted.devices,
        memory_bytes=had.memory_bytes if wanted.memory_bytes is None else wanted.memory_bytes,
        scratch_bytes=had.scratch_bytes,
    )


def gpus_of(spec: PoolSpec) -> int:
    """Return the GPUs of a node: those that are asked for, or those that the words for GRES name."""
    if spec.gpus or not spec.gres:
        return spec.gpus
    found = [_GRES.fullmatch(part.strip()) for part in spec.gres.split(",")]
    return sum(int(match[1] or 1) for match in found if match)


def _labels(pool: Pool, room: Room, seen: Node | None) -> Mapping[str, str]:
    labels = {
        **({} if seen is None else labels_of(seen)),
        "pool": pool.name,
        "cpus": str(room.cpus),
        "gpus": str(len(room.devices)),
    }
    if room.memory_bytes is not None:
        labels["memory"] = typed_size(room.memory_bytes)
    labels.pop("node", None)
    return labels
