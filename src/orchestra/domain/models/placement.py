"""On which nodes the jobs of a task may run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Placement:
    """Which nodes a task may use, apart from what its jobs need.

    Args:
        constraint: an expression over the labels of nodes, "" for none.
        nodes: the names of the only nodes that it may use, sorted; empty for all.
        not_nodes: the names of nodes that it may not use, sorted.
    """

    constraint: str = ""
    nodes: tuple[str, ...] = ()
    not_nodes: tuple[str, ...] = ()


ANYWHERE = Placement()
