"""What pilots have left on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StateInventory:
    """The folder of one node's pilot. `cluster` is the beginning of the database's id.

    Args:
        agent: whether an agent lives there.
        keepers: how many keepers live.
        running: attempts that living keepers run.
        unsent: outcomes that no database has acknowledged.
        set_aside: outcomes that the database did not take, as files below `set-aside`.
    """

    cluster: str
    node: str
    folder: Path
    agent: bool
    keepers: int
    running: int
    unsent: int
    set_aside: int
