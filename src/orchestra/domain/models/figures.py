"""Figures of a cluster for a monitoring system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """The live tasks of a queue, their jobs by status, and the slots of its nodes that are online and not drained."""

    tasks: int
    jobs: Mapping[str, int]
    slots: int
    slots_in_use: int


@dataclass(frozen=True, slots=True)
class EndFigures:
    """Attempts that ended lately in one way, and the seconds that those which started had waited after the claim."""

    attempts: int
    started: int
    waited: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All of them. `ends` are those of the last minutes, by cause; `claims` counts while PostgreSQL's statistics do."""

    queues: Mapping[Queue, QueueFigures]
    ends: Mapping[str, EndFigures]
    nodes: int
    nodes_online: int
    claims: int
    mails: int
    conductor_term: int
    conductor_alive: bool
